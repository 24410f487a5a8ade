// Command sbom holds a software bill of materials to the binary that it is about.
//
// It reads the bill with CycloneDX's own library, refuses members that the library does not know, and
// wants exactly the modules that the binary says it is made of, in the same versions.
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hack/sbom: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: sbom SBOM.json BINARY")
	}
	modules, err := compare(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: CycloneDX, the %d modules of %s and the standard library\n", os.Args[1], modules, os.Args[2])
}

// compare returns how many modules both have.
func compare(sbom, binary string) (int, error) {
	listed, err := read(sbom)
	if err != nil {
		return 0, err
	}
	built, err := buildinfo.ReadFile(binary)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, module := range built.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		if listed[module.Path] != module.Version {
			errs = append(errs, fmt.Errorf("the binary has %s %s, the bill %q", module.Path, module.Version, listed[module.Path]))
		}
		delete(listed, module.Path)
	}
	if listed["std"] != built.GoVersion {
		errs = append(errs, fmt.Errorf("the binary was built with %s, the bill has %q", built.GoVersion, listed["std"]))
	}
	delete(listed, "std")
	for name := range listed {
		errs = append(errs, fmt.Errorf("the bill has %s, the binary has not", name))
	}
	if len(built.Deps) == 0 {
		errs = append(errs, errors.New("the binary does not say what it is made of"))
	}
	return len(built.Deps), errors.Join(errs...)
}

// read returns the versions of a bill by name.
func read(name string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(new(cyclonedx.BOM)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if bom.BOMFormat != cyclonedx.BOMFormat || bom.Components == nil || bom.Metadata == nil || bom.Metadata.Component == nil {
		return nil, fmt.Errorf("%s: no bill of a component", name)
	}
	versions := make(map[string]string, len(*bom.Components))
	for _, component := range *bom.Components {
		versions[component.Name] = component.Version
	}
	return versions, nil
}
