package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// profiles are files for what "go tool pprof" reads; "" means none.
type profiles struct {
	cpu    string
	memory string
}

// during profiles f.
func (p profiles) during(f func() error) error {
	stop, err := p.startCPU()
	if err != nil {
		return err
	}
	return errors.Join(f(), stop(), p.writeMemory())
}

func (p profiles) startCPU() (stop func() error, err error) {
	if p.cpu == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(p.cpu)
	if err != nil {
		return nil, fmt.Errorf("--cpuprofile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("--cpuprofile: %w", err), file.Close())
	}
	return func() error { pprof.StopCPUProfile(); return file.Close() }, nil
}

func (p profiles) writeMemory() error {
	if p.memory == "" {
		return nil
	}
	file, err := os.Create(p.memory)
	if err != nil {
		return fmt.Errorf("--memprofile: %w", err)
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
