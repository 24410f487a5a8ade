// Command vectors writes the vectors of pkg/token: requests, and the reason why each is refused.
//
//	go run ./pkg/token/tokentest/vectors -out pkg/token/testdata/vectors
//
// The keys come from a seed, so the files are the same every time. There is one file for each
// thing that a verifier must get right.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

// A vector is a request, and the reason why it is refused; "allowed" where it is not.
type vector struct {
	Name    string              `json:"name"`
	Path    string              `json:"path,omitempty"`
	Headers map[string][]string `json:"headers"`
	// Certificate is the client's, as Envoy sends it in source.certificate.
	Certificate string       `json:"certificate,omitempty"`
	Want        authz.Reason `json:"want"`
	// Valid are the slots that hold a valid token; only for what is not refused.
	Valid []string `json:"valid,omitempty"`
}

// A suite is the configuration that all vectors are for.
type suite struct {
	Now   int64        `json:"now"`
	Rules []token.Rule `json:"rules"`
}

func main() {
	out := flag.String("out", "pkg/token/testdata/vectors", "directory to write to")
	flag.Parse()
	files, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(*out, name), text, 0o600); err != nil {
			log.Fatal(err)
		}
	}
}

// generate makes all files, by name.
func generate() (map[string][]byte, error) {
	f, err := newForge()
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	documents := map[string]any{"suite.json": f.suite()}
	for _, section := range []map[string][]vector{f.transport(), f.shape(), f.header(), f.keys(), f.claims(), f.slots(), f.svids(), f.bound()} {
		for name, vectors := range section {
			documents[name+".json"] = vectors
		}
	}
	for name, document := range documents {
		text, err := json.MarshalIndent(document, "", "\t")
		if err != nil {
			return nil, err
		}
		files[name] = append(text, '\n')
	}
	return files, f.err
}
