package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/config"
)

func TestWatchedFolders(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	if err := os.MkdirAll(p("env"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p("env/pyvenv.cfg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w := &watched{
		cfg:      &config.Config{NoRecurseDirs: []string{"build", "src", ".*"}},
		explicit: map[string]bool{p("a/.hidden"): true}, state: p("state"),
	}
	for name, want := range map[string]bool{
		"src": false, "dist": false, "build": true, ".git": true, "a/.hidden": false, "env": true, "state": true, "__pycache__": true, "a": false,
		"pytest-cache-files-sk6a76pp": true,
	} {
		if w.ignore(p(name), true) != want {
			t.Errorf("folder %s: ignored %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"a.py": false, "a.pyc": true, ".a.py.swp": true, "a.py~": true, ".coverage.host.1": true, ".env": false, "build": false, "pytest-cache-files-sk6a76pp": true} {
		if w.ignore(p(name), false) != want {
			t.Errorf("file %s: ignored %v", name, !want)
		}
	}
}
