//go:build cgo

package pysrc

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rejected asks Python which of the texts it rejects.
func rejected(t *testing.T, texts [][]byte) []bool {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("python3", "-W", "ignore", "-c", `import ast, os, sys
for i in range(int(sys.argv[2])):
    try:
        compile(open(os.path.join(sys.argv[1], str(i)), "rb").read(), "x", "exec", ast.PyCF_ONLY_AST)
        print("0", end="")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        print("1", end="")
`, dir, fmt.Sprint(len(texts))).Output()
	if err != nil || len(out) != len(texts) {
		t.Fatalf("%d answers: %v", len(out), err)
	}
	all := make([]bool, len(texts))
	for i, c := range out {
		all[i] = c == '1'
	}
	return all
}

// TestBrokenIsRejected edits real files at random, or not at all. What the
// outline parser calls broken, Python rejects.
func TestBrokenIsRejected(t *testing.T) {
	files := corpus(t)
	rng := rand.New(rand.NewSource(8))
	rng.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	var broken [][]byte
	var why []string
	look := func(src []byte) {
		var o outline
		if doubt := o.parse(src); doubt&Broken != 0 {
			broken = append(broken, src)
			why = append(why, fmt.Sprintf("%s at %d, %d", o.why, o.brokenAt, doubt))
		}
	}
	for i, p := range files {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		src, problem := decode(content)
		if problem != nil {
			continue
		}
		look(src)
		if i < 400 && len(src) < 40_000 {
			for _, m := range mutants(src, rng, 4) {
				look(m)
			}
		}
	}
	for i, no := range rejected(t, broken) {
		if !no {
			text := broken[i]
			t.Errorf("Python takes what is called broken (%s): %q", why[i], text[:min(len(text), 3000)])
		}
	}
	if len(broken) < 300 {
		t.Errorf("only %d texts were broken", len(broken))
	}
}

// TestMend types a test into a file, key by key, without closing anything: the
// tests around it are found behind each key, and the typed one when its parameters
// begin.
func TestMend(t *testing.T) {
	before := "import pytest\n\ndef test_before(): pass\n\n"
	behind := "@pytest.mark.parametrize('a', [\n    1, 2,\n])\ndef test_behind(a):\n    assert a\n\n" +
		"class TestX:\n    def test_in(self):\n        \"\"\"Text.\"\"\"\n\n    def test_last(self): pass\n"
	typed := "@pytest.mark.parametrize('x', [(1, \"2\"), {3: [4]}])\nasync def test_new(x, *, y: int = 1) -> None:\n" +
		"    \"\"\"Says 'hello'.\n\n    More.\n    \"\"\"\n    with open(x[1]) as f:\n        assert f(1, [2], {3}) == f\"{x['a']!r}\", (\n            'no')\n\n"
	ready := strings.Index(typed, "(x, *")
	for i := 1; i <= len(typed); i++ {
		src := before + typed[:i] + "\n" + behind
		m := Parse([]byte(src))
		var got []string
		decorated := false
		for j := range m.Stmts {
			s := &m.Stmts[j]
			if s.Kind != Def {
				continue
			}
			name := m.A(uint32(j))
			got = append(got, name)
			if name == "test_behind" {
				ds, _ := m.Decorators(uint32(j))
				decorated = len(ds) > 0 && strings.Contains(m.A(ds[len(ds)-1]), "1, 2")
				if row := uint32(strings.Count(before+typed[:i], "\n")) + 4; s.Head != row {
					t.Errorf("behind %q test_behind is in row %d, not %d", typed[:i], s.Head, row)
				}
			}
		}
		names := strings.Join(got, " ")
		switch {
		case names == "test_before test_behind test_in test_last" && i <= ready:
		case names == "test_before test_new test_behind test_in test_last" && i > ready:
		default:
			t.Errorf("behind %q: %s", typed[:i], names)
		}
		if !decorated {
			t.Errorf("behind %q test_behind has lost its decorator", typed[:i])
		}
	}
}

// TestMendHeaders leaves what is in a class or function there when its header
// is being typed.
func TestMendHeaders(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"class TestA(\n    def test_b(self): pass\n", "class 0:6 head 0 end 1 \"TestA\"\n  def 1:8"},
		{"class TestA\n    def test_b(self): pass\n", "class 0:6 head 0 end 1 \"TestA\"\n  def 1:8"},
		{"@m\ndef test_a(x, (1\n    y = 2\nz = 3\n", "def 0:4 head 1 end 2 \"test_a\"\n  decorator 0:0 \"m\"\nassign 3:0"},
		{"def test_a(x) ->\n    y = 2\n", "def 0:4 head 0 end 1 \"test_a\""},
		{"def test_a\ndef test_b(): pass\n", "def 1:4 head 1 end 1 \"test_b\""},
	} {
		if got := list(c.src); !strings.Contains(got, c.want) {
			t.Errorf("%q gives\n%swant %q", c.src, got, c.want)
		}
	}
}
