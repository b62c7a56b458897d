package pysrc

import (
	"bytes"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"time"
)

func list(src string) string { return Parse([]byte(src)).String() }

func TestShapes(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"def", "def test_a(x, *, y=1): pass\n", "def 0:4 head 0 end 0 \"test_a\" \"x, *, y=1\"\n"},
		{"decorated", "@a.b(1)  # why\n@c\nasync def f():\n    return 1\n", "def 0:10 head 2 end 3 level 0 flags 1 \"f\"\n  decorator 0:0 \"a.b(1)\"\n  decorator 1:0 \"c\"\n  body 0:0 \"    return 1\""},
		{"tab and form feed", "\f\nclass A:\n\tdef test(self):\n\t\tpass\n", "class 1:6"},
		{"continued", "x = 1 + \\\n    2\n", "assign 0:0 \"x\" \"1 + \\\\\\n    2\""},
		{"chained", "a = b = [1]\n", "assign 0:0 \"a = b\" \"[1]\""},
		{"annotated", "a: int = 1\nb: int\n", "assign 0:0 \"a\" \"1\"\n"},
		{"lambda", "f = lambda x=1: x\n", "assign 0:0 \"f\" \"lambda x=1: x\""},
		{"walrus", "if (n := 3):\n    x = 1\n", "if 0:0 \"(n := 3)\"\n  assign 1:4 \"x\" \"1\""},
		{"semicolons", "import a; b = 1; c()\n", "import 0:0\n  alias 0:0 \"a\"\nassign 0:10 \"b\" \"1\"\nexpr 0:17 \"c()\""},
		{"relative import", "from ..a.b import (c as d,\n    e)  # x\n", "from 0:0 level 2 flags 0 \"a.b\"\n  alias 0:0 \"c\" \"d\"\n  alias 0:0 \"e\""},
		{"lazy import", "def f():\n    import a.b\n", "import 1:4 level 0 flags 100\n    alias 1:0 \"a.b\""},
		{"dynamic import", "m = importlib.import_module('x')\n", "dynamic 0:0 \"import_module\" \"'x'\""},
		{"patch of a literal", "m = mock.patch(\n  'x.y')\n", "dynamic 0:0 \"patch\" \"\\n  'x.y'\""},
		{"match", "match x:\n    case 1:\n        import a\nmatch = 1\n", "match 0:0 \"x\"\n  case 1:4 \"1\"\n    import 2:8\n      alias 2:0 \"a\"\nassign 3:0 \"match\" \"1\""},
		{"nested quotes", "x = f'{a['b']}'\ndef test(): pass\n", "def 1:4"},
		{"latin-1", "# -*- coding: latin-1 -*-\ndef test_\xe9(): pass\n", "\"test_é\""},
		{"byte order mark", "\xef\xbb\xbfdef test(): pass\n", "def 0:4"},
		{"lone carriage return", "x = 1\rdef test(): pass\r", "def 1:4"},
		{"crlf", "class A:\r\n    def test(self):\r\n        pass\r\n", "class 0:6 head 0 end 2"},
		{"doctest", "def f():\n    \"\"\"x\n\n    >>> f()\n    \"\"\"\n", "flags 10"},
		{"comment is no example", "def f():\n    \"\"\">>> # nothing\n    \"\"\"\n", "def 0:4 head 0 end 2 \"f\""},
		{"mutation", "A = []\ndef reg(f):\n    A.append(f)\n", "mutate 0:0 \"A\""},
		{"type parameters", "class A[T](B): pass\ndef f[T](x: T): pass\n", "class 0:6 head 0 end 0 \"A\" \"B\""},
		{"python 2", "print 'x'\ndef test(): pass\n", "def 1:4"},
	} {
		if got := list(c.src); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q gives\n%swant in it %q", c.name, c.src, got, c.want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, src string
		row       uint32
	}{
		{"open bracket", "x = (\n\ndef test(): pass\n", 0},
		{"bad dedent", "if x:\n        a = 1\n    b = 2\n", 2},
		{"open string", "def test_a():\n    x = 'a\n    y = 1\n", 1},
		{"open bracket before a test", "def test_a():\n    x = (1,\n\ndef test_b(): pass\n", 1},
		{"no body", "class A:\n    def test_a(self):\n    def test_b(self): pass\n", 1},
		{"half a header", "x = 1\ndef test_a\ndef test_b(): pass\n", 1},
		{"half an import", "x = 1\nimport\ndef test_b(): pass\n", 1},
		{"NUL", "a = 1\nb = '\x00'\n", 1},
		{"not UTF-8", "a = 1\n# \xff\n", 1},
		{"unknown coding", "# coding: klingon\nx = '\xe9'\n", 0},
		{"broken parameters", "def test_a(): pass\ndef test_b(:\n    pass\n", 1},
	} {
		m := Parse([]byte(c.src))
		if len(m.Problems) == 0 {
			t.Errorf("%s: no problem", c.name)
		} else if m.Problems[0].Row != c.row {
			t.Errorf("%s: problem on row %d, want %d: %s", c.name, m.Problems[0].Row, c.row, m.Problems[0].Message)
		}
	}
	if !strings.Contains(list("def test_a(): pass\nx = (\n"), "test_a") {
		t.Error("an error hides the test before it")
	}
}

// TestPathological holds inputs of 1 MB that once cost the square, or would,
// to 100 ms each of the outline parser, on a processor of its own; -race and a
// slow machine get more.
func TestPathological(t *testing.T) {
	mb := 1 << 20
	inputs := map[string]string{
		"open brackets":      strings.Repeat("(", mb),
		"open f-strings":     strings.Repeat("f'{", mb/3),
		"nested f-strings":   strings.Repeat(`f"{f'{`, mb/6),
		"dynamic words":      strings.Repeat("import_module(", mb/14),
		"dynamic on a row":   "def f():\n  x(" + strings.Repeat("import_module(1),", mb/17) + ")\n",
		"one row":            "x = [" + strings.Repeat("1,", mb/2) + "]\n",
		"rows":               strings.Repeat("\n", mb),
		"backslashes":        strings.Repeat("\\\n", mb/2),
		"quotes":             strings.Repeat("'", mb-1),
		"triple quotes":      strings.Repeat(`"""`, mb/3),
		"escapes in strings": `"""` + strings.Repeat(`\"`, mb/2),
		"decorators":         strings.Repeat("@a\n", mb/3),
		"semicolons":         strings.Repeat("a;", mb/2),
		"indents":            indents(1400),
		"defs":               strings.Repeat("def f(): pass\n", mb/14),
		"colons":             "def f():\n  " + strings.Repeat("x:", mb/2),
		"equals":             strings.Repeat("a=", mb/2) + "1\n",
		"lambdas":            "x = " + strings.Repeat("lambda: ", mb/8) + "1\n",
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, src := range inputs {
		began := threadTime(t)
		ParseDoubt([]byte(src))
		outline := threadTime(t) - began
		Parse([]byte(src)) // with tree-sitter where there is doubt, cut off at maxParseUs
		if took := threadTime(t) - began - outline; took > 3*time.Second {
			t.Errorf("%s: %v with tree-sitter", name, took)
		}
		if took := outline; took > 400*time.Millisecond {
			t.Errorf("%s: %v for %d bytes", name, took, len(src))
		} else if testing.Verbose() {
			t.Logf("%s: %v", name, took)
		}
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "if x:\n")
	}
	return b.String()
}

func TestEncodingRoundTripAndDamage(t *testing.T) {
	m := Parse([]byte("import a\n\n@x(1)\ndef test(a):\n    import b\n\nclass A(B):\n    y = (\n"))
	again, err := Decode(bytes.Clone(m.Encoding()))
	if err != nil || !again.Equal(m) || again.String() != m.String() || len(again.Problems) != len(m.Problems) {
		t.Fatalf("round trip: %v\n%s\n%s", err, m, again)
	}
	data := m.Encoding()
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if d, err := Decode(bad); err == nil && i >= headerSize && !d.Equal(m) {
			t.Fatalf("a flipped bit at %d of %d went unseen", i, len(data))
		}
	}
	for n := range data {
		if _, err := Decode(data[:n]); err == nil {
			t.Fatalf("%d of %d bytes decoded", n, len(data))
		}
	}
}

// mutants returns random edits of a source.
func mutants(src []byte, rng *rand.Rand, n int) [][]byte {
	pieces := []string{"(", ")", "\n", "    ", "'", `"""`, "def ", ":", "#", "\\", "import ", "class X:", "@", "=", ";", "\t", "f'{"}
	var out [][]byte
	for range n {
		m := bytes.Clone(src)
		for range 1 + rng.Intn(3) {
			at := rng.Intn(len(m) + 1)
			end := min(len(m), at+rng.Intn(6))
			m = append(m[:at:at], append([]byte(pieces[rng.Intn(len(pieces))]), m[end:]...)...)
		}
		out = append(out, m)
	}
	return out
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("def:import:import"))
	f.Add([]byte("x = f'\\N{a\nb}'\n"))
	f.Add([]byte("class A:\n  def f(self):\n    return f'{a!r:>{w}}'\n"))
	f.Add([]byte("@x\n"))
	f.Add([]byte("if x: import y; z = 1\nelse:\n\tpass\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		m, doubt := ParseDoubt(src)
		if doubt&DoubtRows != 0 {
			t.Fatalf("rows do not add up for %q", src)
		}
		for i := range m.Stmts {
			s := &m.Stmts[i]
			if s.Next <= uint32(i) || s.Next > m.End() {
				t.Fatalf("statement %d of %q ends at %d", i, src, s.Next)
			}
		}
		_ = Parse(src).String() // by tree-sitter where there is doubt
		var o outline
		if o.parse(src) != 0 {
			_ = o.mend(src).String()
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Parse([]byte("def test(): pass\n")).Encoding())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(bytes.Clone(data))
		if err == nil {
			_ = m.String()
		}
	})
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte("def test():\n    pass\n"), uint16(4), uint16(8), []byte("x"))
	f.Add([]byte("class A:\n    def test_a(self):\n        return 1\n"), uint16(9), uint16(9), []byte("    @x\n"))
	f.Fuzz(func(t *testing.T, src []byte, from, to uint16, piece []byte) {
		if len(src) > 4096 || len(piece) > 256 {
			return
		}
		src, _ = decode(src)
		piece, _ = decode(piece)
		a, b := min(int(from), len(src)), min(int(to), len(src))
		if b < a {
			a, b = b, a
		}
		next := append(append(append([]byte{}, src[:a]...), piece...), src[b:]...)
		tree := NewTree(src)
		defer tree.Close()
		tree.Module()
		tree.Edit(next)
		fresh := NewTree(next)
		defer fresh.Close()
		if got, want := tree.Module(), fresh.Module(); !got.Equal(want) {
			t.Fatalf("%q -> %q\nedited:\n%sfresh:\n%s", src, next, got, want)
		}
	})
}
