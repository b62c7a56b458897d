package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/cmd/internal/cli"
	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// TestExplainLine names the tests that cover a line, of a test and of none.
func TestExplainLine(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	const code, tests = "def f():\n    return (\n        1)\n\n\ndef g():\n    return 2\n", "from a import f\n\n\ndef test_f():\n    assert f()\n"
	for name, text := range map[string]string{"a.py": code, "test_a.py": tests, "pytest.ini": "[pytest]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := cover.New()
	r.Event(run.Event{Covered: &run.Covered{ID: "test_a.py::test_f", Lines: map[string][]int{"a.py": {2}, "test_a.py": {5}}}})
	r.Event(run.Event{Covered: &run.Covered{Files: map[string][][2]int{"a.py": {{1, 1}, {2, 3}, {6, 6}, {7, 7}}, "test_a.py": {{1, 1}, {4, 4}, {5, 5}}}}})
	digests := map[string]string{"a.py": history.Digest([]byte(code)), "test_a.py": history.Digest([]byte(tests))}
	if err := r.Save(workspace.StateFolder(state, dir), func(path string) string { return digests[path] }); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DX_PY_STATE_DIR", state)
	t.Setenv("DX_PY_NO_DAEMON", "1")
	t.Chdir(dir)
	explain := func(where string) (string, int) {
		var out bytes.Buffer
		status := cli.Main([]string{"dx-py", "explain", where}, strings.NewReader(""), &out, &out)
		return out.String(), status
	}
	for where, want := range map[string]string{
		"a.py:3": "tests covering a.py:3\n  test_a.py::test_f\n",
		"a.py:7": "no test is known to cover a.py:7\n",
	} {
		if got, status := explain(where); got != want || status != 0 {
			t.Errorf("explain %s: %d %q, want %q", where, status, got, want)
		}
	}
	if got, status := explain("test_a.py:5"); status != 0 || !strings.Contains(got, "test_a.py::test_f depends on 3 files\n") || !strings.HasSuffix(got, "\ntests covering test_a.py:5\n  test_a.py::test_f\n") {
		t.Errorf("explain of a test's line: %d %q", status, got)
	}
	if got, status := explain("a.py:4"); status == 0 || !strings.Contains(got, "no test at ") {
		t.Errorf("explain of an empty line: %d %q", status, got)
	}
	if err := os.WriteFile("a.py", []byte("\n"+code), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, status := explain("a.py:3"); status != 0 || !strings.HasPrefix(got, "a.py has been edited since a run with coverage") {
		t.Errorf("explain in a file that was edited: %d %q", status, got)
	}
}
