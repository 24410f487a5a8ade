package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
)

// usual is how an ext_authz server with OPA is usually written: the CheckRequest becomes JSON, then a
// map, and a query that was prepared once is asked. OPA's caches are wired, also the one of verified
// tokens, so that it is as good as it can be.
type usual struct {
	authv3.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
	sends cache.InterQueryCache
	texts cache.InterQueryValueCache
}

func newUsual(ctx context.Context, dir string) (*usual, error) {
	store := inmem.New()
	if err := loadData(ctx, store, dir); err != nil {
		return nil, err
	}
	config, err := cache.ParseCachingConfig([]byte(`{"inter_query_builtin_value_cache":
		{"max_num_entries": 10000, "named": {"io_jwt": {"max_num_entries": 10000, "disabled": false}}}}`))
	if err != nil {
		return nil, err
	}
	u := &usual{sends: cache.NewInterQueryCache(config), texts: cache.NewInterQueryValueCache(ctx, config)}
	parts := []func(*rego.Rego){rego.Query("data.envoy.authz.allow"), rego.Store(store)}
	for _, name := range []string{"authz.rego", "caller.rego"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		parts = append(parts, rego.Module(name, string(text)))
	}
	if u.query, err = rego.New(parts...).PrepareForEval(ctx); err != nil {
		return nil, err
	}
	go renew(ctx, store, dir)
	return u, nil
}

// renew reads the data again on each SIGHUP.
func renew(ctx context.Context, store storage.Store, dir string) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	for range hangups {
		if err := loadData(ctx, store, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func loadData(ctx context.Context, store storage.Store, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "data.json"))
	if err != nil {
		return err
	}
	var data map[string]any
	if err := json.Unmarshal(text, &data); err != nil {
		return err
	}
	return storage.WriteOne(ctx, store, storage.AddOp, storage.RootPath, data)
}

func (u *usual) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	input, err := usualInput(request)
	if err != nil {
		return nil, err
	}
	results, err := u.query.Eval(ctx, rego.EvalInput(input),
		rego.EvalInterQueryBuiltinCache(u.sends), rego.EvalInterQueryBuiltinValueCache(u.texts))
	if err != nil {
		return nil, err
	}
	if results.Allowed() {
		return &authv3.CheckResponse{Status: &rpcstatus.Status{}}, nil
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden},
		}},
	}, nil
}

func usualInput(request *authv3.CheckRequest) (map[string]any, error) {
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	var input map[string]any
	if err := json.Unmarshal(text, &input); err != nil {
		return nil, err
	}
	http := request.GetAttributes().GetRequest().GetHttp()
	path, _, _ := strings.Cut(http.GetPath(), "?")
	if path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	input["parsed_path"] = strings.Split(strings.TrimLeft(path, "/"), "/")
	if body := http.GetBody(); body != "" && http.GetHeaders()["content-type"] == "application/json" {
		var parsed any
		if err := json.Unmarshal([]byte(body), &parsed); err != nil {
			return nil, err
		}
		input["parsed_body"] = parsed
	}
	return input, nil
}
