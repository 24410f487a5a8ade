package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A mix is one kind of traffic.
type mix struct {
	name  string
	about string
	allow bool // what a server that decides must say to every check of it
	churn bool // the policy's data is replaced each second
	fresh int  // tokens a turn that no server has seen; 0: the users' own

	method string
	path   func(n int) string // of the nth check; always as long, see wire
	token  func(w *world, n int) string
	body   string
}

func mixes() []mix {
	orders := func(n int) string { return fmt.Sprintf("/orders/%02d", n%20) }
	user := func(w *world, n int) string { return w.users[n%len(w.users)] }
	return []mix{
		{name: "anon", about: "a public route, no token", allow: true, method: "GET",
			path: func(n int) string { return fmt.Sprintf("/public/%02d", n%20) }},
		{name: "jwt", about: "20 routes, 1,000 users", allow: true, method: "GET", path: orders, token: user},
		{name: "denied", about: "20 routes, 1,000 users without the role", method: "GET", path: orders,
			token: func(w *world, n int) string { return w.guests[n%len(w.guests)] }},
		{name: "spread", about: "a path never seen before, 1,000 users", allow: true, method: "GET", token: user,
			path: func(n int) string { return fmt.Sprintf("/orders/%010d", n) }},
		{name: "cold", about: "every token new, RS256", allow: true, method: "GET", path: orders, fresh: 4000},
		{name: "body", about: "a rule about a JSON body of 4 KiB", allow: true, method: "POST", token: user,
			path: func(int) string { return "/payments" }, body: payment()},
		{name: "churn", about: "jwt, while the policy's data is replaced each second", allow: true, churn: true,
			method: "GET", path: orders, token: user},
	}
}

// payment is a JSON body of 4 KiB.
func payment() string {
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf(`{"article":"%06d","quantity":%d,"text":"%s"}`, i*7919, i%9+1, strings.Repeat("x", 52)))
	}
	return `{"amount":999.5,"currency":"EUR","lines":[` + strings.Join(lines, ",") + `]}`
}

// A wire is a CheckRequest in bytes, as Envoy would send it. What changes from check to check has
// a fixed length and is written over, so that the client's share of the two cores stays small.
type wire struct {
	bytes           []byte
	path, id, token []int // places of each
}

// idMark is Envoy's id of a request; its last twelve digits count.
const idMark = "7b0e3d52-6c1f-4c3e-9a51-000000000000"

// newWire makes the request of a mix. Every value that is written over must be as long as the
// first one.
func newWire(m mix, token string) (*wire, error) {
	path := m.path(0)
	mark := strings.Repeat("~", len(path))
	marked := strings.Repeat("^", len(token))
	headers := map[string]string{
		":authority": "api.example.com", ":method": m.method, ":path": mark, ":scheme": "https",
		"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"accept":     "application/json", "accept-encoding": "gzip, deflate, br", "accept-language": "en-GB,en;q=0.7",
		"x-forwarded-for": "10.1.2.3", "x-forwarded-proto": "https", "x-request-id": idMark,
		"x-envoy-internal": "true",
	}
	if token != "" {
		headers["authorization"] = "Bearer " + marked
	}
	if m.body != "" {
		headers["content-type"] = "application/json"
		headers["content-length"] = strconv.Itoa(len(m.body))
	}
	text, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      peer("10.1.2.3", 41234, "spiffe://cluster.local/ns/istio-system/sa/ingress"),
		Destination: peer("10.1.2.4", 8443, "spiffe://cluster.local/ns/shop/sa/orders"),
		Request: &authv3.AttributeContext_Request{
			Time: timestamppb.New(time.Now()),
			Http: &authv3.AttributeContext_HttpRequest{
				Id: idMark, Method: m.method, Path: mark, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2",
				Headers: headers, Body: m.body, Size: int64(len(m.body)),
			},
		},
	}})
	if err != nil {
		return nil, err
	}
	t := &wire{bytes: text, path: places(text, mark), id: places(text, idMark)}
	if token != "" {
		t.token = places(text, marked)
	}
	return t, nil
}

func peer(address string, port uint32, principal string) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{
		Principal: principal,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}},
	}
}

func places(text []byte, mark string) []int {
	var out []int
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(mark))
		if i < 0 {
			return out
		}
		out = append(out, at+i)
		at += i + len(mark)
	}
}

// request is the nth CheckRequest.
func (t *wire) request(n int, path, token string) []byte {
	out := bytes.Clone(t.bytes)
	for _, at := range t.path {
		copy(out[at:], path)
	}
	for _, at := range t.token {
		copy(out[at:], token)
	}
	for _, at := range t.id {
		copy(out[at+len(idMark)-12:], fmt.Sprintf("%012d", n))
	}
	return out
}
