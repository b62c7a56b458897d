package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
)

const conftest = `import pytest


@pytest.fixture(scope="module")
def base():
    return 1


@pytest.fixture
def letter(base, tmp_path):
    return "x"
`

const fixtures = `import pytest


@pytest.fixture
def letter(letter):
    return letter * 2


@pytest.mark.usefixtures("base")
def test_use(letter, capsys):
    assert letter


class TestBox:
    @pytest.fixture(name="inner")
    def make_inner(self, base):
        return base

    def test_inner(
        self,
        inner,  # the class's own
        request,
    ):
        assert request.getfixturevalue("letter")
        inner.nothing
`

func fixtureEditor(t *testing.T) *lsptest.Editor {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "conftest.py": conftest, "test_a.py": fixtures, "sub/test_b.py": "def test_b(base, letter): pass\n"})
	e := lsptest.Start(t, dir, options)
	e.Open("test_a.py", fixtures)
	return e
}

// places are locations as "file:line:column", counted from 1.
func places(t *testing.T, raw json.RawMessage) []string {
	var all []struct {
		URI   string
		Range struct {
			Start struct{ Line, Character int }
		}
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, x := range all {
		out = append(out, fmt.Sprintf("%s:%d:%d", filepath.Base(x.URI), x.Range.Start.Line+1, x.Range.Start.Character+1))
	}
	slices.Sort(out)
	return out
}

func TestDefinition(t *testing.T) {
	e := fixtureEditor(t)
	for place, want := range map[string]string{
		"test_use(let|ter":            "test_a.py:5:5",
		"assert l|etter":              "test_a.py:5:5", // its use
		"def letter(l|etter":          "conftest.py:10:5",
		"def l|etter":                 "test_a.py:5:5",
		`usefixtures("b|ase`:          "conftest.py:5:5",
		"make_inner(self, |base":      "conftest.py:5:5",
		"inn|er,  #":                  "test_a.py:16:9",
		`getfixturevalue("|letter`:    "test_a.py:5:5",
		"test_use(letter, c|apsys":    "",
		"import p|ytest":              "",
		"class Test|Box":              "",
		"        inner.not|hing":      "",
		"@pytest.fixture(name=\"i|nn": "",
	} {
		var raw json.RawMessage
		e.Call("textDocument/definition", e.At("test_a.py", place), &raw)
		if got := strings.Join(places(t, raw), " "); got != want {
			t.Errorf("%s is defined at %q, not %q", place, got, want)
		}
	}
}

func TestReferences(t *testing.T) {
	e := fixtureEditor(t)
	for place, want := range map[string][]string{
		"def l|etter":            {"test_a.py:10:14", "test_a.py:5:5"},
		"def letter(l|etter":     {"conftest.py:10:5", "test_a.py:5:12", "test_b.py:1:18"},
		"make_inner(self, b|ase": {"conftest.py:10:12", "conftest.py:5:5", "test_a.py:16:26", "test_a.py:9:27", "test_b.py:1:12"},
		"make_|inner":            {"test_a.py:16:9", "test_a.py:21:9"},
	} {
		p := e.At("test_a.py", place)
		p["context"] = map[string]any{"includeDeclaration": true}
		var raw json.RawMessage
		e.Call("textDocument/references", p, &raw)
		if diff := cmp.Diff(want, places(t, raw)); diff != "" {
			t.Errorf("references of %s:\n%s", place, diff)
		}
	}
}

func TestCompletion(t *testing.T) {
	e := fixtureEditor(t)
	labels := func(place string) []string {
		var r struct {
			Items []struct{ Label, Detail string }
		}
		e.Call("textDocument/completion", e.At("test_a.py", place), &r)
		out := []string{}
		for _, it := range r.Items {
			if !strings.HasPrefix(it.Detail, "fixture of pytest") {
				out = append(out, it.Label+" "+it.Detail)
			} else if it.Label == "tmp_path" {
				out = append(out, it.Label)
			}
		}
		return out
	}
	add := func(text string) {
		at := len(e.Text("test_a.py"))
		e.Change("test_a.py", at, at, text)
	}
	if diff := cmp.Diff([]string{"base fixture, module scope", "tmp_path"}, labels("def test_use(letter, |capsys")); diff != "" {
		t.Errorf("in parameters:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"base fixture, module scope", "letter fixture", "tmp_path"}, labels(`usefixtures("|base`)); diff != "" {
		t.Errorf("in usefixtures:\n%s", diff)
	}
	add("\ndef test_typing(ba")
	if diff := cmp.Diff([]string{"base fixture, module scope", "letter fixture", "tmp_path"}, labels("def test_typing(ba|")); diff != "" {
		t.Errorf("while typing:\n%s", diff)
	}
	add("se, x=")
	for _, place := range []string{"def test_typing(base, x=|", "import |pytest", "    return letter |* 2", "pytest.fixture(|name"} {
		if got := labels(place); len(got) != 0 {
			t.Errorf("at %s: %q", place, got)
		}
	}
}

func TestHover(t *testing.T) {
	e := fixtureEditor(t)
	for place, want := range map[string]string{
		"make_inner(self, |base":   "**base** — fixture, module scope\n\ndefined in conftest.py, line 5",
		"def letter(|letter":       "**letter** — fixture\n\ndefined in conftest.py, line 10\n\nasks for base, tmp_path",
		"def test_u|se":            "**test_use**\n\nnot run yet",
		"def test_i|nner":          "**TestBox::test_inner**\n\nnot run yet",
		"test_use(letter, |capsys": "**capsys** — fixture of pytest's",
		"        inner.not|hing":   "",
		"class Test|Box":           "",
	} {
		var h *struct{ Contents struct{ Value string } }
		e.Call("textDocument/hover", e.At("test_a.py", place), &h)
		got := ""
		if h != nil {
			got = h.Contents.Value
		}
		if got != want {
			t.Errorf("hover at %s: %q, not %q", place, got, want)
		}
	}
}

func TestWorkspaceSymbols(t *testing.T) {
	e := fixtureEditor(t)
	at := len(fixtures)
	e.Change("test_a.py", at, at, "\ndef test_unsaved(): pass\n")
	names := func(query string) (out []string) {
		var all []struct {
			Name, ContainerName string
			Location            struct {
				Range struct{ Start struct{ Line int } }
			}
		}
		e.Call("workspace/symbol", map[string]any{"query": query}, &all)
		for _, x := range all {
			out = append(out, fmt.Sprintf("%s %s:%d", x.Name, x.ContainerName, x.Location.Range.Start.Line+1))
		}
		slices.Sort(out)
		return out
	}
	want := []string{"TestBox.test_inner test_a.py:19", "test_b sub/test_b.py:1", "test_unsaved test_a.py:27", "test_use test_a.py:10"}
	if diff := cmp.Diff(want, names("test")); diff != "" {
		t.Errorf("tests:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"letter conftest.py:10", "letter test_a.py:5"}, names("ltr")); diff != "" {
		t.Errorf("fixtures:\n%s", diff)
	}
}

func TestProblemsOfNames(t *testing.T) {
	text := `import pytest
from math import *


def test_a(unknown): pass
`
	e := lsptest.Start(t, project(t, map[string]string{"pytest.ini": "[pytest]\n", "conftest.py": conftest}), options)
	e.Open("test_b.py", text) // the star import may bring it
	clean := `import pytest


@pytest.fixture
def mine(base, nowhere): pass


@pytest.mark.usefixtures("nope")
@pytest.mark.parametrize("n", [1])
def test_a(n, base, letter, tmp_path, unknown): pass


def test_twice(): pass


class TestBox:
    def test_m(self): pass
    def test_m(self): pass


def test_twice(): pass


if True:
    def test_twice(): pass
`
	e.Open("test_a.py", clean)
	want := []string{
		"5: fixture 'nowhere' is not found", "8: fixture 'nope' is not found", "10: fixture 'unknown' is not found",
		"17: test_m is defined again in line 18: pytest sees only the last",
	}
	e.Synchronize()
	got := e.AfterProblems("test_a.py", func(m []string) bool { return len(m) > 0 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems:\n%s", diff)
	}
	if got := e.AfterProblems("test_b.py", func([]string) bool { return true }); len(got) != 0 {
		t.Errorf("problems that are not sure: %q", got)
	}
}

func TestCodeActions(t *testing.T) {
	e := fixtureEditor(t)
	titles := func(line int, only ...string) (out []string) {
		context := map[string]any{"diagnostics": []any{}}
		if len(only) > 0 {
			context["only"] = only
		}
		var all []struct{ Title string }
		position := map[string]any{"line": line - 1, "character": 0}
		e.Call("textDocument/codeAction", map[string]any{
			"textDocument": map[string]any{"uri": e.URI("test_a.py")}, "range": map[string]any{"start": position, "end": position}, "context": context,
		}, &all)
		for _, a := range all {
			out = append(out, a.Title)
		}
		return out
	}
	if diff := cmp.Diff([]string{"Run test_use", "Debug test_use", "Run test_use with coverage"}, titles(11)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Run TestBox", "Debug TestBox", "Run TestBox with coverage"}, titles(14)); diff != "" {
		t.Error(diff)
	}
	if got := titles(1); len(got) != 0 {
		t.Errorf("outside of tests: %q", got)
	}
	if got := titles(11, "quickfix"); len(got) != 0 {
		t.Errorf("of another kind: %q", got)
	}
}

// TestEncodings asks for positions behind a character that is two units of
// UTF-16 and four bytes.
func TestEncodings(t *testing.T) {
	text := "def test_a(x=\"é😀\", *, unknown): pass\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	for encoding, want := range map[string]int{"utf-16": 23, "utf-8": 26} {
		e := lsptest.StartClient(t, dir, options, lsptest.Client{Capabilities: map[string]any{
			"general": map[string]any{"positionEncodings": []string{encoding, "utf-16"}},
		}})
		if got := e.Initialized.Capabilities["positionEncoding"]; got != encoding {
			t.Errorf("negotiated %v, not %s", got, encoding)
		}
		e.Open("test_a.py", text)
		e.Synchronize()
		e.After("textDocument/publishDiagnostics", func(all []json.RawMessage) bool {
			var p struct {
				Diagnostics []struct {
					Message string
					Range   struct{ Start struct{ Character int } }
				}
			}
			for _, raw := range all {
				if json.Unmarshal(raw, &p) == nil && len(p.Diagnostics) > 0 {
					if d := p.Diagnostics[len(p.Diagnostics)-1]; d.Range.Start.Character != want {
						t.Errorf("%s: column %d of %q, not %d", encoding, d.Range.Start.Character, d.Message, want)
					}
					return true
				}
			}
			return false
		})
	}
}

// TestFolders has two folders with configurations of their own, and settings
// for them that may be null.
func TestFolders(t *testing.T) {
	dir := project(t, map[string]string{
		"one/pytest.ini": "[pytest]\npython_functions = check_*\n", "one/test_a.py": "def check_a(): pass\ndef test_a(): pass\n",
		"two/pytest.ini": "[pytest]\n", "two/test_a.py": "def check_a(): pass\ndef test_a(): pass\n",
		"three/test_c.py": "def test_c(): pass\n",
	})
	c := lsptest.Rich()
	c.Folders = []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
	c.Capabilities["workspace"] = map[string]any{"configuration": true, "workspaceFolders": true}
	e := lsptest.StartClient(t, dir, options, c)
	tree := func() []string {
		var all struct {
			Tests []struct{ ID, Root string }
		}
		e.Call("dx-py/discoverTests", nil, &all)
		out := []string{}
		for _, x := range all.Tests {
			out = append(out, filepath.Base(x.Root)+" "+x.ID)
		}
		return out
	}
	if diff := cmp.Diff([]string{"one .", "one test_a.py", "two .", "two test_a.py"}, tree()); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
	e.Open("one/test_a.py", "def check_a(): pass\ndef test_a(): pass\n")
	e.Open("two/test_a.py", "def check_a(): pass\ndef test_a(): pass\n")
	if diff := cmp.Diff([][]string{{"1: Run 1", "1: Run"}, {"1: Run 1", "2: Run"}}, [][]string{e.Lenses("one/test_a.py"), e.Lenses("two/test_a.py")}); diff != "" {
		t.Errorf("lenses:\n%s", diff)
	}
	folder := func(name string) []any {
		return []any{map[string]any{"uri": "file://" + filepath.Join(dir, name), "name": name}}
	}
	e.Notify("workspace/didChangeWorkspaceFolders", map[string]any{"event": map[string]any{"added": folder("three"), "removed": folder("one")}})
	if diff := cmp.Diff([]string{"two .", "two test_a.py", "three .", "three test_c.py"}, tree()); diff != "" {
		t.Errorf("after a change of folders:\n%s", diff)
	}
	e.Notify("workspace/didChangeConfiguration", map[string]any{"settings": map[string]any{"dx-py": map[string]any{"args": []string{"-k", "nothing"}}}})
	if diff := cmp.Diff([]string{"two .", "three ."}, tree()); diff != "" {
		t.Errorf("with -k from the settings:\n%s", diff)
	}
	e.Notify("workspace/didChangeConfiguration", map[string]any{"settings": nil})
	if _, err := os.Stat(dir); err != nil || len(e.Said("workspace/configuration")) == 0 {
		t.Errorf("the server did not ask for the settings")
	}
}
