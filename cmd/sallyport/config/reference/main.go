// Command reference writes what people and editors read about the configuration: reference.md and
// schema.json. Both come from one definition, the types of package config: their names, tags,
// comments and defaults.
//
//	go generate ./cmd/sallyport/config
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".", "the directory of package config")
	flag.Parse()
	files, err := generate(*dir)
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		const everyone = 0o644 // source code
		if err := os.WriteFile(filepath.Join(*dir, name), text, everyone); err != nil {
			log.Fatal(err)
		}
	}
}

// generate gives the content of each file by its name.
func generate(dir string) (map[string][]byte, error) {
	root, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	schema, err := writeSchema(root)
	if err != nil {
		return nil, err
	}
	page, err := writePage(root)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"schema.json": schema, "reference.md": page}, nil
}
