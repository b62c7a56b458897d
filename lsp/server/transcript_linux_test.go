package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
)

// TestTranscript is a sitting, with what the user sees after each message.
func TestTranscript(t *testing.T) {
	const text = `import pytest

import shop


@pytest.fixture
def cart():
    return [1, 2]


def test_total(cart):
    assert shop.total(cart) == 4


class TestBox:
    @pytest.mark.parametrize("n", [1, 2])
    def test_cases(self, n):
        assert n == 1
`
	dir := project(t, map[string]string{
		"pytest.ini": "[pytest]\npythonpath = .\n", "shop.py": "def total(prices):\n    return sum(prices)\n", "test_a.py": text, "sub/test_b.py": "def test_b(): pass\n",
	})
	opts := withPython(t, "9.2.0")
	opts.StateDir = t.TempDir()
	client := lsptest.Rich()
	client.Options["diagnostics"] = map[string]any{"failures": true}
	e := lsptest.StartClient(t, dir, opts, client)
	edit := func(old, now string) func() {
		return func() {
			at := strings.Index(e.Text("test_a.py"), old)
			e.Change("test_a.py", at, at+len(old), now)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save := func() {
		write("test_a.py", e.Text("test_a.py"))
		e.Notify("textDocument/didSave", map[string]any{"textDocument": map[string]any{"uri": e.URI("test_a.py")}})
	}
	run := func(name string) func() {
		return func() {
			if err := e.Command("dx-py.server.run", map[string]any{"uri": e.URI("test_a.py"), "name": name}, nil); err != nil {
				t.Error(err)
			}
		}
	}
	s := e.NewTranscript()
	s.Step("the tree", nil)
	s.Step("open test_a.py", func() { e.Open("test_a.py", text) })
	s.Step("run all of it", run(""))
	s.Step("type a line above", edit("import pytest\n", "import pytest  # for marks\n# and more\n"))
	s.Step("correct the test", edit("== 4", "== 3"))
	s.Step("save", save)
	s.Step("run the test that failed", run("::test_total"))
	s.Step("another file changes on disk", func() { write("shop.py", "def total(prices):\n    return sum(prices) + 0\n") })
	s.Step("and is what it was", func() { write("shop.py", "def total(prices):\n    return sum(prices)\n") })
	s.Step("a fixture that does not exist, a name twice", edit("def test_total(cart):", "def test_total(): pass\n\n\ndef test_total(crat):"))
	s.Step("take it back", edit("def test_total(): pass\n\n\ndef test_total(crat):", "def test_total(cart):"))
	s.Step("a syntax error", edit("class TestBox:", "class TestBox("))
	s.Step("mend it", edit("class TestBox(", "class TestBox:"))
	s.Step("a file comes", func() { write("sub/test_c.py", "def test_c(): pass\n") })
	s.Step("and goes", func() {
		if err := os.Remove(filepath.Join(dir, "sub/test_c.py")); err != nil {
			t.Fatal(err)
		}
	})
	s.Step("close test_a.py", func() { e.CloseFile("test_a.py") })
	s.Golden(filepath.Join("testdata", "sitting.golden"))
}
