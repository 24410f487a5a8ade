package telemetry

import (
	"context"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Metrics serves the metrics in the formats of Prometheus; nil where they are off.
func (t *Telemetry) Metrics() http.Handler { return t.handler }

func (t *Telemetry) startMetrics(ctx context.Context, described *resource.Resource) error {
	options := []sdkmetric.Option{sdkmetric.WithResource(described)}
	if asked("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return refused("METRICS", err)
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	if t.cfg.Prometheus {
		readers, gatherer, err := prometheusReaders()
		if err != nil {
			return err
		}
		options = append(options, readers...)
		t.handler = promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})
	}
	if len(options) == 1 {
		return nil
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.shutdowns = append(t.shutdowns, provider.Shutdown)
	if err := runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
		return err
	}
	var err error
	t.metrics, err = newMetrics(provider, t.cfg)
	return err
}

// prometheusReaders make latencies twice, since a reader of the SDK keeps a histogram with buckets
// or a native one, and who reads /metrics may want either.
func prometheusReaders() ([]sdkmetric.Option, prometheus.Gatherer, error) {
	classic, native := prometheus.NewRegistry(), prometheus.NewRegistry()
	if err := classic.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, nil, err
	}
	ordinary, err := promexporter.New(promexporter.WithRegisterer(classic), promexporter.WithoutScopeInfo())
	if err != nil {
		return nil, nil, err
	}
	exponential, err := promexporter.New(promexporter.WithRegisterer(native), promexporter.WithoutScopeInfo(),
		promexporter.WithoutTargetInfo(), promexporter.WithAggregationSelector(onlyExponential))
	if err != nil {
		return nil, nil, err
	}
	readers := []sdkmetric.Option{sdkmetric.WithReader(ordinary), sdkmetric.WithReader(exponential)}
	return readers, both{classic, native}, nil
}

func onlyExponential(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	if kind != sdkmetric.InstrumentKindHistogram {
		return sdkmetric.AggregationDrop{}
	}
	// As many buckets as OpenTelemetry's default, and the finest scale that Prometheus knows.
	return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 8}
}

// both gathers histograms that have buckets and are native too, as Prometheus's own clients make them.
type both struct{ classic, native prometheus.Gatherer }

// Gather implements [prometheus.Gatherer]. The native part is gathered last and brings the count: what
// is observed in between is then in no bucket but the last, and no bucket has more than the count.
func (b both) Gather() ([]*dto.MetricFamily, error) {
	families, err := b.classic.Gather()
	if err != nil {
		return families, err
	}
	natives, err := b.native.Gather()
	found := make(map[string]*dto.Histogram)
	for _, family := range natives {
		for _, metric := range family.GetMetric() {
			found[series(family, metric)] = metric.GetHistogram()
		}
	}
	for _, family := range families {
		if family.GetName() == goroutines {
			family.Name = new("go_goroutines")
		}
		for _, metric := range family.GetMetric() {
			if native := found[series(family, metric)]; native != nil {
				native.Bucket = metric.GetHistogram().GetBucket()
				metric.Histogram = native
			}
		}
	}
	return families, err
}

// goroutines is the name that OpenTelemetry's becomes. For Prometheus, only histograms and summaries
// end in _count, and its users know this one by another name.
const goroutines = "go_goroutine_count"

func series(family *dto.MetricFamily, metric *dto.Metric) string {
	texts := []string{family.GetName()}
	for _, label := range metric.GetLabel() { // sorted
		texts = append(texts, label.GetName(), label.GetValue())
	}
	return strings.Join(texts, "\x00")
}
