package history_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/history"
)

const shaped = `"""Module."""
import os

LIMIT = 3
key = lambda x: x + 1


def plain(a, b=LIMIT):
    "Says."
    # a comment
    def inner():
        return a
    return inner() + b


class Box(object):
    size = 1

    def __init__(self, n: int = 4):
        self.n = n

    @property
    def value(self): return self.n  # short

    @value.setter
    def value(self, n):
        text = f"{n}"
        self.n = n

    # what follows is async
    async def wait(self):
        return 1

    class Lid:
        def lift(self):
            pass


if LIMIT:
    def late():
        yield 1
    late.x = 1

@os.fspath
def last():
    return """
    x
"""
`

// TestShapes tells edits of bodies from all others.
func TestShapes(t *testing.T) {
	const other = "\x00" // an edit of something else
	for _, x := range []struct{ from, to, want string }{
		{`return inner() + b`, `return inner() - b`, "plain"},
		{`        return a`, `        return a, 1`, "plain:0"},
		{`    def inner():`, `    def inner(q=1):`, "plain"},
		{`    # a comment`, `    # another`, ""},
		{`    return inner() + b`, "    import json\n    return inner() + b\n\n\n\n# aside", "plain"},
		{`self.n = n

    @property`, `self.n = n + 1

    @property`, "Box.__init__"},
		{`return self.n  # short`, `return self.n + 1`, "Box.value"},
		{`text = f"{n}"`, `text = f"{n!r}"`, "Box.value"},
		{`        return 1`, `        return 2`, "Box.wait"},
		{`            pass`, `            return "yield"`, "Box.Lid.lift"},
		{`        yield 1`, `        yield 2  # await`, "late"},
		{"    x\n", "    y\n", "last"},
		{"    # what follows is async", "    # what follows is\n\n    # not", ""},

		{`"""Module."""`, `"""The module."""`, other},
		{`import os`, `import os, json`, other},
		{`LIMIT = 3`, `LIMIT = 4`, other},
		{`x + 1`, `x + 2`, other},
		{`b=LIMIT`, `b=3`, other},
		{`plain(a, b`, `plain(a, c`, other},
		{`"Says."`, `"Tells."`, other},
		{`    "Says."`, `    x = "Says."`, other},
		{`    size = 1`, `    size = 2`, other},
		{`(object)`, `(dict)`, other},
		{`n: int`, `n: str`, other},
		{`n: int = 4`, `n: int = 5`, other},
		{`    @property`, `    @os.fspath`, other},
		{`        yield 1`, `        return [1]`, other},
		{`return self.n  # short`, `return (yield)  # short`, other},
		{`        return 1`, `        return await 1`, other},
		{`text = f"{n}"`, `text = f"{(yield n)}"`, other},
		{`        self.n = n

    @property`, `        super().__init__()

    @property`, other},
		{`            pass`, `            return __class__`, other},
		{`    late.x = 1`, `    late.x = 2`, other},
		{`@os.fspath`, ``, other},
		{`async def wait`, `def wait`, other},
		{`def last`, `def end`, other},
		{"def last():\n    return \"\"\"\n    x\n\"\"\"\n", "def last():\n    x = 1\ndef more(): pass\n", other},
		{`            pass`, `            (`, other},
		{`        return 1`, `        return = 1`, other},
		{`    def value(self): return self.n  # short`, "    def value(self):\n        ( # so\n          (\"doc\"))", other},
		{`    size = 1`, "    size = 1\n    global g", other},
		{`    size = 1`, "    size = 1\n    # of what follows", other},
	} {
		if strings.Count(shaped, x.from) != 1 {
			t.Fatalf("%q stands there %d times", x.from, strings.Count(shaped, x.from))
		}
		from, to := history.ShapeOf([]byte(shaped)), history.ShapeOf([]byte(strings.Replace(shaped, x.from, x.to, 1)))
		names, ok := from.Changed(to)
		got := strings.Join(names, " ")
		if !ok {
			got = other
		}
		if got != x.want {
			t.Errorf("%q -> %q: got %q, want %q", x.from, x.to, got, x.want)
		}
	}
	for _, text := range []string{"def f(:\n", "import numba\n@numba.njit(parallel=True)\ndef f():\n    return 1\n", "def f():\n  (\n"} {
		from, to := history.ShapeOf([]byte(text)), history.ShapeOf([]byte(strings.ReplaceAll(text, "1", "2")+"\n"))
		if names, ok := from.Changed(to); ok && len(names) > 0 {
			t.Errorf("%q: %q changed", text, names)
		}
	}
}

const armed = `def f(a):
    """Says."""
    total = 0
    for x in a:
        if x == 1:
            total += 1
            print("one")
        elif x == 2:
            x.seen = True
            print("two")
        else:
            try:
                total = risky()
            except ValueError as e:
                print(e)
            finally:
                print("done")
    def inner():
        y = 1
        if y: print("inner")
    while total: total -= 1
    if a:
        "a string"
        print("text")
    elif total:
        print("total")

        # a comment

    return total


class C:
    @property
    def v(self):
        if self: print(1)
        with self:
            print("in")

    @v.setter
    def v(self, x):
        if x:
            print("set")
`

// TestShapesOfArms tells in which arm of a function an edit is.
func TestShapesOfArms(t *testing.T) {
	for _, x := range []struct{ from, to, want string }{
		{`print("one")`, `print("1")`, "f:0.0"},
		{`print("two")`, `print("2")`, "f:0.1"},
		{`x.seen = True`, `x.told = 1`, "f:0.1"},
		{`print(e)`, `raise`, "f:0.2.1"},
		{`print("done")`, `print("end")`, "f:0.2.2"},
		{`risky()`, `safe()`, "f:0.2.0"},
		{`y = 1`, `y = 2`, "f:1"},
		{`print("inner")`, `print("in")`, "f:1"},
		{`print("in")`, `print("within")`, "C.v:0"},
		{`print("set")`, `print("got")`, "C.v:0"},
		{`print("total")`, "print(\"total\")\n        print(3)", "f:2"},
		{`        # a comment`, ``, ""},
		{`# a comment`, `# another`, ""},
		{"            print(\"one\")", "            if a:\n                print(\"one\")", "f:0.0"},
		{"            print(\"one\")\n", "", "f:0.0"},

		// what may not be told of when it runs belongs to the function
		{`print("text")`, `print("texts")`, "f"},
		{`"a string"`, `"string"`, "f"},
		{`print(1)`, `print(2)`, "C.v"},
		// conditions belong to what is around them
		{`x == 1`, `x == 3`, "f:0"},
		{`x == 2`, `x == 3`, "f:0"},
		{`except ValueError as e`, `except KeyError as e`, "f"},
		{`for x in a`, `for x in a[1:]`, "f"},
		{`while total: total -= 1`, `while total: total -= 2`, "f"},
		// a name that is bound in one place is the function's in all
		{`print("one")`, `risky = 1`, "f"},
		{`print("one")`, `print(risky := 1)`, "f"},
		{`print("one")`, `import risky`, "f"},
		{`print("one")`, `for risky in a: pass`, "f"},
		{`print("one")`, `with a as risky: pass`, "f"},
		{`print("one")`, `a.b, risky = 1`, "f"},
		{`print("one")`, `a[risky := 1] = 1`, "f"},
		{`print("one")`, `risky: int`, "f"},
		{`print("one")`, `del risky`, "f"},
		{`print("one")`, `risky += 1`, "f"},
		{`print("one")`, `def risky(): pass`, "f"},
		{`print("one")`, `f"{(risky := 1)}"`, "f"},
		{`total += 1`, `total -= 1`, "f:0.0"},
		{`total = risky()`, `print(risky())`, "f:0.2.0"},
		{`x.seen = True`, `x = True`, "f"},
		{"            total += 1\n", "", "f:0.0"},
		{`y = 1`, `z = 1`, "f"},
		{`    else:
            try:`, `    else:
            if 1:
              print()
            try:`, "f:0.2"},
	} {
		if strings.Count(armed, x.from) != 1 {
			t.Fatalf("%q stands there %d times", x.from, strings.Count(armed, x.from))
		}
		from, to := history.ShapeOf([]byte(armed)), history.ShapeOf([]byte(strings.Replace(armed, x.from, x.to, 1)))
		names, ok := from.Changed(to)
		back, _ := to.Changed(from)
		if got := strings.Join(names, " "); !ok || got != x.want || !slices.Equal(names, back) {
			t.Errorf("%q -> %q: got %q, back %q, %v, want %q", x.from, x.to, got, back, ok, x.want)
		}
	}
}

// TestShapesOfAnyEdit changes a line somewhere: it is of a body, or it is not,
// and which does not depend on the direction.
func TestShapesOfAnyEdit(t *testing.T) {
	shaped := shaped + armed
	lines := strings.SplitAfter(shaped, "\n")
	rapid.Check(t, func(t *rapid.T) {
		edited := slices.Clone(lines)
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		edited[i] = rapid.SampledFrom(append(slices.Clone(lines), "", "        x = 1\n", "@deco\n", "    yield\n", "\"\"\"\n", "    def more(self): pass\n")).Draw(t, "text")
		a, b := history.ShapeOf([]byte(shaped)), history.ShapeOf([]byte(strings.Join(edited, "")))
		there, ok := a.Changed(b)
		back, same := b.Changed(a)
		if ok != same || !slices.Equal(there, back) {
			t.Errorf("%q %v, back %q %v", there, ok, back, same)
		}
		if strings.Join(edited, "") == shaped && (!ok || len(there) > 0) {
			t.Errorf("nothing changed, but %q %v", there, ok)
		}
	})
}

// TestShapesAreKept knows the shape of what a file was.
func TestShapesAreKept(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write := func(text string) history.State {
		if err := os.WriteFile(filepath.Join(root, "a.py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return history.State{"a.py": history.Digest([]byte(text)), "b.txt": "", "gone.py": history.Digest(nil)}
	}
	var states []history.State
	for _, text := range []string{"def f(): return 1\n", "def f(): return 2\n"} {
		s := history.OpenShapes(dir, "", nil)
		states = append(states, write(text))
		if err := s.Learn(root, states[len(states)-1]); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	s := history.OpenShapes(dir, "", nil)
	defer s.Close()
	if names, ok := s.Of(states[0]["a.py"]).Changed(s.Of(states[1]["a.py"])); !ok || !slices.Equal(names, []string{"f"}) {
		t.Errorf("got %q, %v", names, ok)
	}
	if _, ok := s.Of(states[0]["gone.py"]).Changed(s.Of(states[0]["gone.py"])); ok {
		t.Error("a file that was not there has a shape")
	}
}
