package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
)

const typedIn = `import pytest
from values import CASES

@pytest.fixture
def own(two):
    return two

class TestA:
    @pytest.mark.parametrize("c", CASES)
    def test_one(self, c, own):
        assert c

    def test_two(self, nothing): pass

def test_three(two):
    x = [
        1,
    ]
    assert x

@pytest.mark.skip
@pytest.mark.parametrize("a,b", [(1, 2), (3, 4)])
def test_four(a, b):
    """Text.

    >>> 1
    """
    def inner():
        pass

class TestB(TestA):
    pass

test_three = test_three
`

// pieces are what is typed: line ends, names, halves of statements.
var pieces = []string{
	"\n", "\n\n", "x", "_", "(", ")", "[", "]", "\"", "'", "\"\"\"", ":", ",", "@", "# é", "    ", "1, ", "def test_new(own): pass\n", "def test_three(): pass\n",
	"class TestA:\n    def test_in(self): pass\n", "@pytest.mark.parametrize('n', [1, 2])\n", "class TestB(TestA):\n", "import values\n",
	"pass\n", ";", "pytestmark = pytest.mark.slow\n", "    async def test_deep(self): pass\n", "\t", "\\\n", "del test_three\n", "if x:\n", "two", "own",
}

// look is all that a view says.
func look(t interface{ Fatal(...any) }, w *Workspace, path string) string {
	v, err := w.Apply(Update{}).View(path)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, it := range v.Items {
		fmt.Fprintln(&b, it.ID, it.Kind, it.Reason, filepath.Base(it.Source), it.Line, it.Head, it.EndLine, it.Col, it.Node.Marks)
	}
	for _, p := range v.Problems {
		fmt.Fprintln(&b, p.Row, p.Message)
	}
	for i := range v.Names.Users {
		u := &v.Names.Users[i]
		fmt.Fprintln(&b, u.Name, u.Fixture, u.Row, u.Head, u.EndRow, u.Col, u.Args, u.Used, u.Missing)
		for _, a := range u.Args {
			fmt.Fprintln(&b, a, show(v.Names.Find(u, a)))
		}
	}
	for row := uint32(0); row < v.Module.Rows; row += 5 {
		for _, f := range v.Names.Visible(row) {
			if f.Path != "" {
				fmt.Fprintln(&b, row, show(f))
			}
		}
	}
	return b.String()
}

func show(f *discover.Fixture) string { return fmt.Sprintf("%+v", f) }

// TestKeysEqualScratch types at random, into a file of tests and the conftest.py
// above it. Behind each key the views are those of a workspace that has seen
// nothing before.
func TestKeysEqualScratch(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	conftest := "import pytest\n\n@pytest.fixture(params=[1, 2])\ndef two(request): pass\n"
	for name, text := range map[string]string{"pytest.ini": "[pytest]\n", "values.py": "CASES = ['a', 'b']\n", "conftest.py": conftest} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for { // until the folder can be known again by its identity
		if id, _ := file.StatAny(dir); !id.Racy(time.Now().UnixNano()) {
			break
		}
	}
	keys, again, moved := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		settings := Settings{Dir: dir, Env: map[string]string{}}
		w := New(settings)
		defer w.Close()
		texts := map[string]string{filepath.Join(dir, "test_x.py"): typedIn, filepath.Join(dir, "conftest.py"): conftest}
		test := filepath.Join(dir, "test_x.py")
		set := func(w *Workspace, path string) *Snapshot {
			return w.Apply(Update{Files: []file.Change{{Path: path, Text: []byte(texts[path])}}})
		}
		set(w, test)
		look(t, w, test)
		for range rapid.IntRange(1, 12).Draw(t, "keys") {
			path := test
			if rapid.IntRange(0, 9).Draw(t, "file") == 0 {
				path = filepath.Join(dir, "conftest.py")
			}
			text := texts[path]
			from := rapid.IntRange(0, len(text)).Draw(t, "from")
			if rapid.Bool().Draw(t, "at a line") {
				from = strings.LastIndexByte(text[:from], '\n') + 1
			}
			to := min(len(text), from+rapid.SampledFrom([]int{0, 0, 0, 1, 3, 20}).Draw(t, "length"))
			texts[path] = strings.ToValidUTF8(text[:from]+rapid.SampledFrom(pieces).Draw(t, "piece")+text[to:], "?")
			s := set(w, path)
			keys++
			if o := s.overlays[test]; o != nil {
				if f := s.foundAgain(test, o.module()); f != nil {
					again++
					if f.conf == nil {
						moved++
					}
				}
			}
			fresh := New(settings)
			for p := range texts {
				if p == test || s.overlays[p] != nil {
					set(fresh, p)
				}
			}
			for p := range texts {
				if diff := cmp.Diff(strings.Split(look(t, fresh, p), "\n"), strings.Split(look(t, w, p), "\n")); diff != "" {
					t.Fatalf("%s: of a fresh workspace (-), behind the keys (+):\n%s\n%s", filepath.Base(p), diff, texts[p])
				}
			}
			fresh.Close()
		}
	})
	t.Logf("%d keys, %d times what was found before was good, %d times with other rows", keys, again, moved)
	if again < keys/10 || moved < keys/50 {
		t.Errorf("of %d keys %d had what was found before, %d with other rows", keys, again, moved)
	}
}
