package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// keepQuiet keeps as soon as all identities can be trusted.
func keepQuiet(t *testing.T, r *Request) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		q, _, _ := LookQuiet(r)
		if !q.usable {
			continue
		}
		if err := q.Keep(5); err != nil {
			t.Fatal(err)
		}
		if _, n, quiet := LookQuiet(r); n != 5 || !quiet {
			t.Fatalf("%d unchanged, quiet: %v", n, quiet)
		}
		return
	}
	t.Fatal("all files seem to be new for ten seconds")
}

// TestQuiet has all that makes it necessary to find out what is due.
func TestQuiet(t *testing.T) {
	top, state := t.TempDir(), t.TempDir()
	root := filepath.Join(top, "root")
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.py", "1")
	write("sub/b.txt", "1")
	write("../far/c.py", "1")
	write(".hidden/read.txt", "1")
	r := &Request{
		State: state, Root: root, Dir: root, Env: &pyenv.Env{},
		Config: &config.Config{Root: root, Dir: root, ConfCutDir: top, PythonPath: []string{filepath.Join(top, "far")}},
	}
	opened := history.Opened{Edges: map[string][]string{"a.py": {".hidden/read.txt"}}}
	save := func() {
		if err := opened.Save(workspace.StateFolder(state, root)); err != nil {
			t.Fatal(err)
		}
	}
	save()
	if _, _, quiet := LookQuiet(r); quiet {
		t.Fatal("nothing was kept")
	}
	keepQuiet(t, r)
	for _, c := range []struct {
		what string
		do   func()
	}{
		{"an edit of as many bytes", func() { write("a.py", "2") }},
		{"data", func() { write("sub/b.txt", "2") }},
		{"a new file", func() { write("sub/new.txt", "") }},
		{"a file less", func() { os.Remove(filepath.Join(root, "sub/new.txt")) }},
		{"code beside the root", func() { write("../far/c.py", "2") }},
		{"a hidden file that was read", func() { write(".hidden/read.txt", "2") }},
		{"a hidden configuration", func() { write(".pytest.ini", "") }},
		{"a conftest.py above", func() { write("../conftest.py", "") }},
		{"what is known", func() { opened.Opaque = append(opened.Opaque, "a.py"); save() }},
		{"arguments", func() { r.Args = append(r.Args, "-x") }},
		{"a variable", func() { r.Vars = append(r.Vars, "PYTEST_ADDOPTS=-x") }},
		{"a selection", func() { r.Config.Keyword = "x" }},
		{"another folder to be in", func() { r.Dir = top }},
	} {
		c.do()
		if _, n, quiet := LookQuiet(r); quiet {
			t.Errorf("%s: %d unchanged", c.what, n)
		}
		keepQuiet(t, r)
	}
	write(".hidden/other.txt", "")
	if _, _, quiet := LookQuiet(r); !quiet {
		t.Error("a file that nobody reads matters")
	}
}
