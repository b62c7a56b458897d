package server_test

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// project writes files and returns their folder.
func project(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var options = server.Options{Version: "test", Env: map[string]string{"PATH": os.Getenv("PATH")}}

const first = `import pytest


@pytest.fixture(params=["x", "y"])
def letter(request):
    return request.param


def test_plain():
    pass


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cases(n):
    pass


class TestBox:
    def test_letter(self, letter):
        pass
`

const failing = `import pytest


def check(n):
    assert n < 3


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cases(n):
    check(n)


class TestBox:
    def test_plain(self):
        pass
`

func TestLensesFollowTheBuffer(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_disk(): pass\n"})
	e := lsptest.Start(t, dir, options)
	e.Open("test_a.py", first)
	want := []string{"1: Run 6", "9: Run", "14: Run 3", "18: Run 2", "19: Run 2"}
	if diff := cmp.Diff(want, e.Lenses("test_a.py")); diff != "" {
		t.Errorf("lenses (-want +got):\n%s", diff)
	}
	at := strings.Index(first, "[1, 2, 3]")
	e.Change("test_a.py", at, at+9, "[1, 2]")
	e.Change("test_a.py", 0, 0, "# one line more\n")
	want = []string{"1: Run 5", "10: Run", "15: Run 2", "19: Run 2", "20: Run 2"}
	if diff := cmp.Diff(want, e.Lenses("test_a.py")); diff != "" {
		t.Errorf("lenses after edits (-want +got):\n%s", diff)
	}
	e.CloseFile("test_a.py")
	if got := e.Lenses("test_a.py"); len(got) != 0 {
		t.Errorf("lenses of a closed file: %v", got)
	}
}

func TestSymbols(t *testing.T) {
	e := lsptest.Start(t, project(t, map[string]string{"pytest.ini": "[pytest]\n"}), options)
	e.Open("test_a.py", first)
	want := []lsptest.Symbol{
		{Name: "letter", Detail: "fixture"},
		{Name: "test_plain", Detail: "test"},
		{Name: "test_cases", Detail: "test"},
		{Name: "TestBox", Children: []lsptest.Symbol{{Name: "test_letter", Detail: "test"}}},
	}
	if diff := cmp.Diff(want, e.Symbols("test_a.py")); diff != "" {
		t.Errorf("symbols (-want +got):\n%s", diff)
	}
}

func TestProblemsComeAndGo(t *testing.T) {
	e := lsptest.Start(t, project(t, map[string]string{"pytest.ini": "[pytest]\n"}), options)
	broken := "def test_a():\n    pass\n\ndef test_b(:\n    pass\n"
	e.Open("test_a.py", broken)
	e.AfterProblems("test_a.py", func(m []string) bool { return len(m) > 0 })
	if got := e.Lenses("test_a.py"); !slices.Contains(got, "1: Run") {
		t.Errorf("the error hides the test before it: %v", got)
	}
	at := strings.Index(broken, "(:") + 1
	e.Change("test_a.py", at, at, ")")
	e.AfterProblems("test_a.py", func(m []string) bool { return len(m) == 0 })
}

func TestBadMessagesDoNotEndTheServer(t *testing.T) {
	e := lsptest.Start(t, project(t, map[string]string{"pytest.ini": "[pytest]\n"}), options)
	e.Notify("$/unknown", map[string]any{"x": 1})
	e.Notify("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": "file:///not/open.py", "version": 2}, "contentChanges": []any{}})
	e.Notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": "untitled:1"}})
	if err := e.Try("dx-py/nothing", nil, nil); err == nil || !strings.Contains(err.Error(), "-32601") {
		t.Errorf("an unknown request answered %v", err)
	}
	if err := e.Try("textDocument/codeLens", map[string]any{"textDocument": 7}, nil); err == nil {
		t.Error("a request with wrong parameters succeeded")
	}
	e.Open("test_a.py", "def test_a(): pass\n")
	e.Change("test_a.py", 0, 0, "x = 1\n")
	e.Notify("textDocument/didChange", map[string]any{
		"textDocument":   map[string]any{"uri": "file:///x", "version": 3},
		"contentChanges": []any{map[string]any{"range": map[string]any{"start": map[string]any{"line": 900, "character": 0}, "end": map[string]any{"line": 1, "character": 0}}, "text": ""}},
	})
	if diff := cmp.Diff([]string{"1: Run 1", "2: Run"}, e.Lenses("test_a.py")); diff != "" {
		t.Error(diff)
	}
}

// big is a test file of about the given number of lines.
func big(lines int) string {
	var b strings.Builder
	b.WriteString("import pytest\n\n")
	for i := 0; i < lines/10; i++ {
		fmt.Fprintf(&b, "\n@pytest.mark.parametrize(\"n\", [1, 2, %d])\ndef test_%d(n):\n    value = [n, \"näme 😀\"]\n    assert value[0] == n\n    if n:\n        assert value\n\n", i, i)
	}
	return b.String()
}

// TestEditsKeepTheirOrder sends a thousand edits as fast as it can and
// compares what the server finds with a fresh server on the same text.
func TestEditsKeepTheirOrder(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	e := lsptest.Start(t, dir, options)
	e.Open("test_a.py", big(500))
	rng := rand.New(rand.NewSource(1))
	pieces := []string{"x", "\n", "😀", "é", "(", ")", "\"", "    ", "def test_new(): pass\n", "class TestX:\n    def test_y(self): pass\n", ""}
	for range 1000 {
		text := e.Text("test_a.py")
		from := rng.Intn(len(text) + 1)
		for from > 0 && from < len(text) && text[from]&0xC0 == 0x80 {
			from--
		}
		to := min(len(text), from+rng.Intn(4))
		for to < len(text) && text[to]&0xC0 == 0x80 {
			to++
		}
		e.Change("test_a.py", from, to, pieces[rng.Intn(len(pieces))])
	}
	fresh := lsptest.Start(t, dir, options)
	fresh.Open("test_a.py", e.Text("test_a.py"))
	if diff := cmp.Diff(fresh.Lenses("test_a.py"), e.Lenses("test_a.py")); diff != "" {
		t.Errorf("lenses of a fresh server (-) and after 1,000 edits (+):\n%s", diff)
	}
}
