package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// stateful are options with an interpreter and a folder for state.
func stateful(t testing.TB) server.Options {
	o := withPython(t, "9.2.0")
	o.StateDir = t.TempDir()
	return o
}

// settled is project with files that were written before any run: what is
// written while a run begins is not remembered.
func settled(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := project(t, files)
	past := time.Now().Add(-time.Minute)
	for name := range files {
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// below lists what is in a file, as outline does.
func below(t testing.TB, e *lsptest.Editor, name string) []string {
	t.Helper()
	e.Synchronize()
	var r testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{URI: e.URI(name)}, &r)
	return outline(r)
}

// TestRunsTeach has a run tell the cases of a function: the tree has them as
// its own from then on, in another server too, until the function changes.
func TestRunsTeach(t *testing.T) {
	dir := settled(t, map[string]string{"pytest.ini": "[pytest]\nmarkers = slow\n", "test_b.py": computed})
	opts := stateful(t)
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_b.py", computed)
	e.Run(testproto.RunParams{RunID: "one", Kind: "run"})
	want := []string{
		"function test_b.py::test_late 9-10", "case test_b.py::test_late[105] 9-10 passed", "case test_b.py::test_late[109] 9-10 passed",
		"class test_b.py::TestBox 13-17", "function test_b.py::TestBox::test_cases 16-17",
		"case test_b.py::TestBox::test_cases[1] 16-17 passed", "case test_b.py::TestBox::test_cases[2] 16-17 failed",
	}
	if diff := cmp.Diff(want, below(t, e, "test_b.py")); diff != "" {
		t.Errorf("after the run:\n%s", diff)
	}
	if lens := e.Lenses("test_b.py")[0]; !strings.HasSuffix(lens, "Run 4") {
		t.Errorf("lens %q of a file whose cases are known", lens)
	}
	e.Stop()

	e = lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_b.py", computed)
	e.Synchronize()
	if lens := e.Lenses("test_b.py")[0]; !strings.HasSuffix(lens, "Run 4") {
		t.Errorf("lens %q in another server", lens)
	}
	at := strings.Index(computed, "print")
	e.Change("test_b.py", at, at, "pass; ")
	for _, line := range below(t, e, "test_b.py") {
		if strings.Contains(line, "test_late[") {
			t.Errorf("%s of a function that was edited", line)
		}
	}
}
