package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/throng-gg/throng/test/lab"
)

// state is what there is to know of a lab that runs.
type state struct {
	PID        int
	Dir        string
	URL        string
	Kubeconfig string
	IP         string // of the node; empty: there is none
	Machine    string // this machine, as pods see it
}

// file is where a lab's state stands, or what belongs to it.
func file(name, suffix string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the lab's state: %w", err)
	}
	dir := filepath.Join(cache, "throng", "labs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("find a place for the lab's state: %w", err)
	}
	return filepath.Join(dir, name+suffix), nil
}

// save writes the state, whole or not at all.
func (s *state) save(name string) error {
	path, err := file(name, ".json")
	if err != nil {
		return err
	}
	s.PID = os.Getpid()
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the lab's state: %w", err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("keep the lab's state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keep the lab's state: %w", err)
	}
	return nil
}

// load reads the state of a lab that runs; nil if there is none.
func load(name string) (*state, error) {
	path, err := file(name, ".json")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none runs, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the lab's state: %w", err)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	// Its number may be another process's by now.
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	if err != nil || !strings.Contains(string(line), "\x00run\x00") {
		return nil, nil //nolint:nilnil // it was killed
	}
	return &s, nil
}

// remove forgets a lab that is over.
func remove(name string) {
	if path, err := file(name, ".json"); err == nil {
		_ = os.Remove(path) // it is over either way: its process is gone
	}
}

// usage says how to use a lab.
func (s *state) usage() string {
	var b strings.Builder
	if s.IP == "" {
		fmt.Fprintf(&b, "a control plane runs at %s\n", s.URL)
	} else {
		fmt.Fprintf(&b, "a node runs at %s; its pods reach this machine at %s\n", s.IP, s.Machine)
	}
	fmt.Fprintf(&b, "logs are in %s\n\nexport KUBECONFIG=%s\n", s.Dir, s.Kubeconfig)
	fmt.Fprintf(&b, "alias kubectl='%s kubectl' helm=%s\n", filepath.Join(lab.Binaries(), "kube"), filepath.Join(lab.Binaries(), "helm"))
	return b.String()
}
