package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// tree is that of a client, by the rules of lsp/README.md.
type tree map[testproto.Ref]testproto.TestItem

// take reads what the server has said since the last time.
func (t tree) take(e *lsptest.Editor) (messages int, err error) {
	for _, params := range e.Said(testproto.MethodDiscoveredTests) {
		var r testproto.DiscoverResult
		if err := json.Unmarshal(params, &r); err != nil {
			return 0, err
		}
		for ref, it := range t {
			if slices.Contains(r.ScopeURIs, it.URI) {
				delete(t, ref)
			}
		}
		for _, ref := range r.Removed {
			if _, had := t[ref]; !had {
				return 0, fmt.Errorf("%v is removed, and was not there", ref)
			}
			delete(t, ref)
		}
		for _, it := range r.Tests {
			t[testproto.Ref{Root: it.Root, ID: it.ID}] = it
		}
		messages++
	}
	e.Forget()
	return messages, nil
}

// keyed are what is typed at random.
var keyed = []string{
	"\n", "\n\n", "x", "(", ")", "[", "\"", "\"\"\"", ":", ", ", "é", "😀", "    ", "def test_new(n): pass\n", "def test_b(): pass\n", "1",
	"class TestA:\n    def test_in(self): pass\n", "@pytest.mark.parametrize('n', [1, 2])\n", "@pytest.mark.slow\n", "import os\n", "missing",
}

const keyedIn = `import pytest

@pytest.mark.parametrize("n", [1, 2, "é"])
def test_a(n):
    assert n

class TestA:
    @pytest.mark.parametrize("m", ["ü", 'b'])
    def test_in(self, m): pass  # 😀

    def test_other(self, missing):
        x = [
            1]
        assert x

def test_b(): return "é"
def test_b(tmp_path):
    pass
`

// TestKeysAsFresh types at random, line ends and halves of statements, renames
// and doubles tests: behind each key the editor has the tree, the lenses and the
// diagnostics that a fresh server gives it.
func TestKeysAsFresh(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	parts, messages := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		e := lsptest.StartClient(t, dir, options, lsptest.Rich())
		defer e.Stop()
		e.Open("test_a.py", keyedIn)
		have := tree{}
		for range rapid.IntRange(1, 6).Draw(rt, "keys") {
			text := e.Text("test_a.py")
			from := rapid.IntRange(0, len(text)).Draw(rt, "from")
			to := min(len(text), from+rapid.SampledFrom([]int{0, 0, 0, 1, 4}).Draw(rt, "length"))
			for from > 0 && from < len(text) && text[from]&0xC0 == 0x80 {
				from--
			}
			for to < len(text) && text[to]&0xC0 == 0x80 {
				to++
			}
			e.Change("test_a.py", from, to, rapid.SampledFrom(keyed).Draw(rt, "key"))
			e.Call(testproto.MethodSynchronize, testproto.SynchronizeParams{Discovery: true}, nil)
			for _, params := range e.Said(testproto.MethodDiscoveredTests) {
				messages++
				if !strings.Contains(string(params), "scopeUris") {
					parts++
				}
			}
			if _, err := have.take(e); err != nil {
				rt.Fatal(err)
			}
			fresh := lsptest.StartClient(t, dir, options, lsptest.Rich())
			fresh.Open("test_a.py", e.Text("test_a.py"))
			fresh.Call(testproto.MethodSynchronize, testproto.SynchronizeParams{Discovery: true}, nil)
			want := tree{}
			if _, err := want.take(fresh); err != nil {
				rt.Fatal(err)
			}
			text = e.Text("test_a.py")
			if diff := cmp.Diff(want, have); diff != "" {
				rt.Fatalf("the tree of a fresh server (-) and behind the keys (+):\n%s\n%s", diff, text)
			}
			if diff := cmp.Diff(raw(fresh), raw(e)); diff != "" {
				rt.Fatalf("the lenses of a fresh server (-) and behind the keys (+):\n%s\n%s", diff, text)
			}
			if diff := cmp.Diff(fresh.Problems("test_a.py"), e.Problems("test_a.py")); diff != "" {
				rt.Fatalf("the problems of a fresh server (-) and behind the keys (+):\n%s\n%s", diff, text)
			}
			fresh.Stop()
		}
	})
	if t.Logf("%d messages, %d of them of a part of the file", messages, parts); parts < messages/20 || parts == messages {
		t.Errorf("of %d messages %d told a part of the file", messages, parts)
	}
}

// raw are the lenses as the server sent them.
func raw(e *lsptest.Editor) (out []map[string]any) {
	e.Call("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": e.URI("test_a.py")}}, &out)
	return out
}
