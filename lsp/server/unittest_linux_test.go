package server_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
)

const unittests = `import unittest


class Numbers(unittest.TestCase):
    def test_add(self):
        self.assertEqual(1 + 1, 2)

    def test_bad(self):
        self.assertEqual(1, 3)


def test_plain():
    pass
`

// TestUnittestLens runs tests where there is no pytest: only what unittest can
// run has a lens, and what needs pytest says so.
func TestUnittestLens(t *testing.T) {
	dir := project(t, map[string]string{"setup.cfg": "[tool:pytest]\n", "test_a.py": unittests})
	opts := options
	opts.Env = map[string]string{"VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Bare(t)))}
	e := lsptest.Start(t, dir, opts)
	e.Open("test_a.py", unittests)
	needs := func(m []string) bool {
		return len(m) == 1 && strings.HasPrefix(m[0], "12: 1 test needs pytest: ") && strings.Contains(m[0], "-m pip install pytest")
	}
	e.AfterProblems("test_a.py", needs)
	if diff := cmp.Diff([]string{"1: Run 2", "4: Run 2", "5: Run", "8: Run"}, e.Lenses("test_a.py")); diff != "" {
		t.Errorf("lenses:\n%s", diff)
	}
	if err := e.Click("test_a.py", 4); err != nil {
		t.Fatal(err)
	}
	e.AfterProblems("test_a.py", func(m []string) bool {
		return len(m) == 2 && needs(m[:1]) && m[1] == "9: Numbers::test_bad: AssertionError: 1 != 3"
	})
	lenses := e.Lenses("test_a.py")
	if len(lenses) != 4 || !strings.HasPrefix(lenses[2], "5: ✓ ") || !strings.HasPrefix(lenses[3], "8: ✗ ") {
		t.Errorf("lenses %q", lenses)
	}
	if m := e.Messages(); len(m) != 0 {
		t.Errorf("messages %q", m)
	}
}
