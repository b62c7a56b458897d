package workspace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// TestStateOf sees every edit of a file that counts, and no other; of a folder
// of very many files the names, and what is asked for.
func TestStateOf(t *testing.T) {
	root, state := t.TempDir(), t.TempDir()
	write := func(rel, text string) {
		p := filepath.Join(root, rel)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"a.py", "data/a.json", ".hidden/x.py", "pkg/__pycache__/a.pyc", "node_modules/x.js", "venv/pyvenv.cfg", "venv/lib/x.py", "README.md"} {
		write(p, "1")
	}
	for i := range 2001 {
		write(fmt.Sprintf("many/%d.txt", i), "1")
	}
	cfg := &config.Config{Root: root}
	opened := history.Opened{Edges: map[string][]string{"a.py": {"many/7.txt", "gone.txt", "data"}}}
	if err := opened.Save(workspace.StateFolder(state, root)); err != nil {
		t.Fatal(err)
	}
	first := workspace.StateOf(state, cfg, nil)
	var names []string
	for p := range first {
		names = append(names, p)
	}
	if len(names) != 5 {
		t.Errorf("%d files: %v", len(names), names)
	}
	differs := func(want ...string) {
		t.Helper()
		now := workspace.StateOf(state, cfg, nil)
		if diff := cmp.Diff(want, first.Differs(now)); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
		first = now
	}
	differs()
	write("a.py", "2")
	write("data/a.json", "2")
	write(".hidden/x.py", "2")
	write("many/7.txt", "2")
	write("many/8.txt", "2")
	differs("a.py", "data/a.json", "many/7.txt")
	write("many/new.txt", "")
	write("gone.txt", "")
	if err := os.Remove(filepath.Join(root, "README.md")); err != nil {
		t.Fatal(err)
	}
	differs("README.md", "gone.txt", "many/")
	write("a.py", "3") // of the same size, at once
	differs("a.py")
}
