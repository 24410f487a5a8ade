package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Source is one document that was read.
type Source struct {
	root *node
	kind sourceKind
}

type sourceKind int

const (
	bootstrap sourceKind = iota + 1
	dump
	resource // of Kubernetes, or a MeshConfig
)

// maxDump bounds what is read, in bytes.
const maxDump = 1 << 30

// Read reads a file, the YAML and JSON files of a directory, or what the admin listener of an Envoy
// answers: http://127.0.0.1:9901. An error names the file or URL.
func Read(ctx context.Context, name string) ([]Source, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return fetch(ctx, name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("doctor: %w", err)
	case info.IsDir():
		return readDirectory(name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	all, err := sources(name, text)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("doctor: %s is no Envoy bootstrap (static_resources, dynamic_resources), no config dump (configs) and no resource of Kubernetes (apiVersion, kind)", name)
	}
	return all, err
}

// readDirectory passes over what is no configuration.
func readDirectory(name string) ([]Source, error) {
	var all []Source
	directory := os.DirFS(name)
	err := fs.WalkDir(directory, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return err
		}
		text, err := fs.ReadFile(directory, path)
		if err != nil {
			return err
		}
		found, err := sources(filepath.Join(name, path), text)
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("doctor: read %s: %w", name, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("doctor: %s holds no configuration of Envoy, Istio or Envoy Gateway (.yaml, .yml, .json)", name)
	}
	return all, nil
}

// fetch asks an admin listener for its dump. A redirect is not followed: the operator named the host.
func fetch(ctx context.Context, address string) ([]Source, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("doctor: the URL of Envoy's admin listener cannot be read")
	}
	shown := u.Redacted()
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawQuery = "/config_dump", "include_eds"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("doctor: %s: %w", shown, err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("doctor: fetch the dump of Envoy: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDump))
	switch {
	case err != nil:
		return nil, fmt.Errorf("doctor: %s: %w", shown, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("doctor: %s answers %s: is it Envoy's admin listener?", shown, response.Status)
	}
	all, err := sources(shown, text)
	if err == nil && (len(all) != 1 || all[0].kind != dump) {
		err = fmt.Errorf("doctor: %s answers no config dump: is it Envoy's admin listener?", shown)
	}
	return all, err
}

// sources tells what the documents of a text are.
func sources(file string, text []byte) ([]Source, error) {
	roots, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	var all []Source
	for _, root := range roots {
		switch {
		case root.get("configs") != nil:
			all = append(all, Source{root, dump})
		case root.oneOf("static_resources", "dynamic_resources") != nil:
			all = append(all, Source{root, bootstrap})
		case root.get("kind").string() == "List":
			for _, item := range root.get("items").items() {
				all = append(all, Source{item, resource})
			}
		case root.get("kind") != nil && root.get("apiVersion") != nil, root.get("extensionProviders") != nil:
			all = append(all, Source{root, resource})
		}
	}
	return all, nil
}
