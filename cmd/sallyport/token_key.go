package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// devKey is the key of a file, a new key that is saved there, or, without a file, a new one that
// nobody keeps.
func devKey(name, algorithm string) (*tokentest.Key, error) {
	if name == "" {
		return makeKey(algorithm)
	}
	key, err := readKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = makeKey(algorithm); err == nil {
			err = saveKey(name, key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if algorithm != "" && algorithm != key.Algorithm {
		return nil, fmt.Errorf("--key: %s is for %s; leave out --algorithm, or name another file", name, key.Algorithm)
	}
	return key, nil
}

// makeKey makes a key whose id is its thumbprint, so that no two keys ever share one.
func makeKey(algorithm string) (*tokentest.Key, error) {
	key, err := tokentest.NewKey("", cmp.Or(algorithm, "ES256"), "")
	if err != nil {
		return nil, err
	}
	key.ID, err = key.Thumbprint()
	return key, err
}

// readKey refuses a key that others can read: they can sign with it too.
func readKey(name string) (*tokentest.Key, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others; run chmod 600 %s, or make a new key", name, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return tokentest.ParseKey(text)
}

func saveKey(name string, key *tokentest.Key) error {
	jwk, err := key.PrivateJWK()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(jwk, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return errors.Join(err, file.Close())
}

// writeKeySet puts a JWK set in a file's place at once, since a server may be watching it. It leaves
// alone what is no JWK set, such as the private key.
func writeKeySet(name string, set []byte) error {
	before, err := os.ReadFile(name)
	var was struct{ Keys []json.RawMessage }
	if err == nil && (json.Unmarshal(before, &was) != nil || was.Keys == nil) {
		return fmt.Errorf("%s is there and is no JWK set; it is left as it is", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".jwks-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once the file is in its place
	const everyone = 0o644       // public keys, for a server that runs as somebody else
	_, err = file.Write(append(set, '\n'))
	if err = errors.Join(err, file.Chmod(everyone), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
