package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// TestSameSecondEdits edits files within a second without changing their size:
// Python's own check of compiled modules, and that of pytest's rewritten ones,
// misses that. A run sees it, in a living engine and in a fresh interpreter.
func TestSameSecondEdits(t *testing.T) {
	for _, v := range enginetest.Versions {
		for _, name := range []string{"lib/plain.py", "lib/lazy.py", "conftest.py", "test_a.py"} {
			for _, living := range []bool{true, false} {
				dir := files(t, map[string]string{
					"pytest.ini": "[pytest]\n", "lib/__init__.py": "", "lib/plain.py": "VALUE = 1\n", "lib/lazy.py": "VALUE = 1\n",
					"conftest.py": "import pytest\nVALUE = 1\n@pytest.fixture\ndef value(): return VALUE\n",
					"test_a.py": "from lib import plain\nVALUE = 1\ndef test_all(value):\n    from lib import lazy\n" +
						"    assert [plain.VALUE, lazy.VALUE, value, VALUE] == [1, 1, 1, 1]\n",
				})
				r, _ := request(t, v, dir, "-p", "no:cacheprovider")
				r.Root = dir
				var e *engine.Engine
				if living {
					e = &engine.Engine{}
					defer e.Close()
				}
				w := &warm{t, dir}
				if got := w.run(e, r); got.Outcomes["test_a.py::test_all"] != "passed" {
					t.Fatalf("%s: %+v", v, got)
				}
				path := filepath.Join(dir, name)
				st, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				w.write(name, strings.Replace(string(text), "VALUE = 1", "VALUE = 2", 1))
				if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil { // in one second, however slow this machine is
					t.Fatal(err)
				}
				if got := w.run(e, r); got.Outcomes["test_a.py::test_all"] != "failed" {
					t.Errorf("pytest %s, living engine %v: the edit of %s is not seen", v, living, name)
				}
			}
		}
	}
}
