package server_test

import (
	"os"
	"path/filepath"
	"slices"
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

// states are the last states that were told without a run, "ID STATE".
func states(t testing.TB, e *lsptest.Editor) []string {
	t.Helper()
	last := map[string]testproto.Change{}
	for _, raw := range e.Said(testproto.MethodTestStates) {
		if p := decode[testproto.StatesParams](t, raw); p.RunID == "" {
			for _, c := range p.Changes {
				last[c.Ref.ID] = c
			}
		}
	}
	var out []string
	for id, c := range last {
		line := id + " " + string(c.State)
		if c.Cached {
			line += " cached"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// TestStaleByDependency changes what tests import, in a buffer and on disk:
// their results are stale, others are not; and those of an earlier server are
// judged by the same rule.
func TestStaleByDependency(t *testing.T) {
	files := map[string]string{
		"pytest.ini": "[pytest]\n", "calc.py": "import deep\n\n\ndef one():\n    return deep.VALUE\n", "deep.py": "VALUE = 1\n",
		"test_calc.py":  "import calc\n\n\ndef test_one():\n    assert calc.one() == 1\n",
		"test_other.py": "def test_other():\n    pass\n\n\ndef test_bad():\n    assert 0\n",
	}
	dir := settled(t, files)
	opts := stateful(t)
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_calc.py", files["test_calc.py"])
	e.Run(testproto.RunParams{RunID: "one", Kind: "run"})
	e.Synchronize()
	if got := states(t, e); got != nil {
		t.Errorf("nothing has changed, and yet %q", got)
	}

	// a buffer, and back
	e.Open("deep.py", "VALUE = 2\n")
	e.Synchronize()
	if diff := cmp.Diff([]string{"test_calc.py::test_one stale"}, states(t, e)); diff != "" {
		t.Errorf("after an edit of what the module imports:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1: – passed before the edit | Run 1", "4: – passed before the edit | Run"}, e.Lenses("test_calc.py")); diff != "" {
		t.Errorf("lenses:\n%s", diff)
	}
	var hover struct{ Contents struct{ Value string } }
	e.Call("textDocument/hover", e.At("test_calc.py", "def |test_one"), &hover)
	if !strings.Contains(hover.Contents.Value, "since then deep.py changed") {
		t.Errorf("hover %q", hover.Contents.Value)
	}
	e.Change("deep.py", 0, len("VALUE = 2\n"), files["deep.py"])
	e.Synchronize()
	if diff := cmp.Diff([]string{"test_calc.py::test_one passed"}, states(t, e)); diff != "" {
		t.Errorf("after the edit is undone:\n%s", diff)
	}

	// the disk
	if err := os.WriteFile(filepath.Join(dir, "calc.py"), []byte("def one():\n    return 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	e.Synchronize()
	if diff := cmp.Diff([]string{"test_calc.py::test_one stale"}, states(t, e)); diff != "" {
		t.Errorf("after an edit on disk:\n%s", diff)
	}
	e.Stop()

	// another server
	e = lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_calc.py", files["test_calc.py"])
	e.Synchronize()
	want := []string{"test_calc.py::test_one stale", "test_other.py::test_bad failed cached", "test_other.py::test_other passed cached"}
	if diff := cmp.Diff(want, states(t, e)); diff != "" {
		t.Errorf("in another server:\n%s", diff)
	}
	if lens := e.Lenses("test_calc.py")[2]; lens != "4: – passed before the edit | Run" {
		t.Errorf("lens %q in another server", lens)
	}
	if diff := cmp.Diff([]string{"function test_other.py::test_other 1-2 passed", "function test_other.py::test_bad 5-6 failed"}, below(t, e, "test_other.py")); diff != "" {
		t.Errorf("tree:\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "calc.py"), []byte(files["calc.py"]), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	e.Synchronize()
	if got := states(t, e); got[0] != "test_calc.py::test_one passed cached" {
		t.Errorf("%q when the file is back", got)
	}
}

// TestStateDir keeps state where the project says, once it is trusted.
func TestStateDir(t *testing.T) {
	dir := project(t, map[string]string{"pyproject.toml": "[tool.pytest.ini_options]\n[tool.dx-py]\nstate_dir = \".kept\"\n", "test_a.py": "def test_a(): pass\n"})
	opts := withPython(t, "9.2.0")
	opts.StateDir = t.TempDir()
	kept := func(in string) bool {
		all, _ := os.ReadDir(in)
		return len(all) > 0
	}
	e := lsptest.StartUntrusted(t, dir, opts)
	e.Call(testproto.MethodDiscoverTests, nil, nil)
	e.Synchronize()
	if kept(dir+"/.kept") || !kept(opts.StateDir) {
		t.Errorf("before the user trusts the project state is kept in it: %v, elsewhere: %v", kept(dir+"/.kept"), kept(opts.StateDir))
	}
	e.Notify(testproto.MethodTrust, testproto.TrustParams{Trusted: true})
	e.Open("test_a.py", "def test_a(): pass\n")
	if err := e.Command("dx-py.server.run", map[string]any{"uri": e.URI("test_a.py")}, nil); err != nil {
		t.Fatal(err)
	}
	e.Synchronize()
	if !kept(dir + "/.kept") {
		t.Error("nothing is kept where the project says")
	}
}
