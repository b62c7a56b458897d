package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// roots are the tree's folders and files as "ROOT: ID", roots relative to a
// folder.
func roots(t *testing.T, e *lsptest.Editor, dir string) (out []string) {
	t.Helper()
	e.Synchronize()
	var all testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, nil, &all)
	for _, it := range all.Tests {
		out = append(out, strings.TrimPrefix(strings.TrimPrefix(it.Root, "file://"+dir), "/")+": "+it.ID)
	}
	return out
}

// TestInnerProjects runs two projects of a repository, with files of the same
// names: each in its own folder, with its own configuration and interpreter.
func TestInnerProjects(t *testing.T) {
	const same = `import os
import sys

import pytest

import helper


def check_it():
    assert helper.name == "a" and os.path.basename(os.getcwd()) == "a"
    assert pytest.__version__ == "8.4.2" and "a/.venv" in sys.prefix


def test_it():
    assert helper.name == "b" and os.path.basename(os.getcwd()) == "b"
    assert pytest.__version__ == "9.2.0"
`
	dir := project(t, map[string]string{
		"tests/test_top.py": "def test_top(): pass\n",
		"a/pytest.ini":      "[pytest]\npython_functions = check_*\n", "a/helper.py": "name = \"a\"\n", "a/test_same.py": same,
		"b/pyproject.toml": "[tool.pytest.ini_options]\n", "b/helper.py": "name = \"b\"\n", "b/test_same.py": same,
	})
	venv := filepath.Dir(filepath.Dir(enginetest.Python(t, "8.4.2")))
	if err := os.Symlink(venv, filepath.Join(dir, "a", ".venv")); err != nil {
		t.Fatal(err)
	}
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	before := []string{": .", ": tests", ": tests/test_top.py", "a: .", "a: test_same.py", "b: .", "b: test_same.py"}
	if diff := cmp.Diff(before, roots(t, e, dir)); diff != "" {
		t.Errorf("the tree:\n%s", diff)
	}
	run := e.Run(testproto.RunParams{RunID: "all", Kind: "run"})
	if diff := cmp.Diff([]string{"test_same.py::check_it passed", "test_same.py::test_it passed", "tests/test_top.py::test_top passed"}, run.States); diff != "" || run.Ended.Totals["passed"] != 3 {
		t.Errorf("all, %+v:\n%s", run.Ended, diff)
	}
	// the outer folder is what is in no project
	run = e.Run(testproto.RunParams{RunID: "top", Kind: "run", Include: []testproto.Ref{{Root: "file://" + dir, ID: "."}}})
	if diff := cmp.Diff([]string{"tests/test_top.py::test_top passed"}, run.States); diff != "" {
		t.Errorf("the outer folder:\n%s", diff)
	}
	// a lens runs in its project
	e.Open("a/test_same.py", same)
	if err := e.Command("dx-py.server.run", map[string]any{"uri": e.URI("a/test_same.py"), "name": "::check_it"}, nil); err != nil {
		t.Error(err)
	}
	if lenses := e.Lenses("a/test_same.py"); len(lenses) < 2 || !strings.HasPrefix(lenses[1], "9: ✓ ") {
		t.Errorf("lenses %q", lenses)
	}
	// a project comes, and goes
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("c/test_c.py", "def test_c(): pass\n")
	write("c/setup.cfg", "[tool:pytest]\n")
	if got := roots(t, e, dir); !slices.Contains(got, "c: test_c.py") || slices.Contains(got, ": c/test_c.py") {
		t.Errorf("with another project the tree is %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "c/setup.cfg")); err != nil {
		t.Fatal(err)
	}
	if got := roots(t, e, dir); slices.Contains(got, "c: test_c.py") || !slices.Contains(got, ": c/test_c.py") {
		t.Errorf("without it the tree is %q", got)
	}
	e.Notify("workspace/didChangeConfiguration", map[string]any{"settings": map[string]any{"dx-py": map[string]any{"nested": false}}})
	if got := roots(t, e, dir); !slices.Contains(got, ": a/test_same.py") || slices.Contains(got, "a: test_same.py") {
		t.Errorf("without nested projects the tree is %q", got)
	}
}
