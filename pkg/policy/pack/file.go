package pack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// write puts a file in its place at once, since a server may be watching it.
func write(name string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".bundle-")
	if err != nil {
		return fmt.Errorf("policy: write the bundle: %w", err)
	}
	defer os.Remove(file.Name()) // fails once the file is in its place
	const everyone = 0o644       // for a server that runs as somebody else; it holds no key
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(everyone), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("policy: write the bundle: %w", err)
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return fmt.Errorf("policy: write the bundle: %w", err)
	}
	return nil
}
