package envoy_test

import (
	"math/rand/v2"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

func httpStatusOf(code int32) *typev3.HttpStatus {
	return &typev3.HttpStatus{Code: typev3.StatusCode(code)}
}

// Whatever bytes arrive, the answer is a response, and never an allow that nobody gave.
func FuzzCheck(f *testing.F) {
	seed, err := proto.Marshal(httpCheck(&authv3.AttributeContext_HttpRequest{
		Method: "GET", Path: "/a?b=c", Headers: map[string]string{"authorization": "Bearer a.b.c"}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for i := range 8 {
		broken := append([]byte(nil), seed...)
		broken[rand.New(rand.NewPCG(1, uint64(i))).IntN(len(broken))] ^= 0xff
		f.Add(broken)
	}
	l := &line{records: make(chan authz.Record, 1)}
	f.Fuzz(func(t *testing.T, message []byte) {
		conn, l := serve(t, l.decision, nil)
		var response authv3.CheckResponse
		if err := conn.Invoke(t.Context(), authv3.Authorization_Check_FullMethodName, envoytest.Raw(message), &response, grpc.ForceCodec(envoytest.RawCodec{})); err != nil {
			t.Fatalf("a gRPC error: %v", err)
		}
		if response.GetStatus().GetCode() == 0 {
			t.Errorf("an allow that nobody gave: %v", &response)
		}
		<-l.records
	})
}
