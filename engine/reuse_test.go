package engine_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// flattened tells code from other code.
const flattened = `
import ast, glob, os, random, sys, types, warnings
sys.path.insert(0, sys.argv[1])
from dxworker import reuse
import _pytest
from _pytest.assertion import rewrite

def constant(x):  # the order of a set is not told by its items
    if isinstance(x, frozenset):
        return sorted(map(constant, x), key=repr)
    return tuple(map(constant, x)) if isinstance(x, tuple) else flat(x) if hasattr(x, "co_code") else repr(x)

def flat(code):
    places = list(code.co_positions()) if hasattr(code, "co_positions") else code.co_lnotab
    return [code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags, code.co_firstlineno, code.co_stacksize,
            code.co_argcount, code.co_kwonlyargcount, code.co_filename, places, getattr(code, "co_qualname", code.co_name),
            getattr(code, "co_exceptiontable", b""), [constant(x) for x in code.co_consts]]
`

// spliced edits files in random ways and prints where the code that was made of
// what had changed only differs from that of the whole text, of files that are
// rewritten and of others.
const spliced = flattened + `
def objects(code):  # how many there are of each constant
    found, codes = {}, [code]
    while codes:
        for const in codes.pop().co_consts:
            if isinstance(const, types.CodeType):
                codes.append(const)
            elif isinstance(const, (str, bytes, float, int)):
                found.setdefault((type(const), repr(const)), set()).add(id(const))
    return {key: len(ids) for key, ids in found.items()}

def whole(path, source, rewritten):
    if not rewritten:
        return compile(source, path, "exec", dont_inherit=True)
    tree = ast.parse(source, path)
    rewrite.rewrite_asserts(tree, source, path, None)
    return compile(tree, path, "exec", dont_inherit=True)

LINES = [b"# a line\n", b"x = 1\n", b"def added(a, b=2):\n    assert a == b, 'no'\n", b"    assert 1 == 2\n", b'"""\n', b"'''\n", b"(\n", b"\\\n",
         b"@deco\n", b"if 1:\n", b"class A:\n", b"    def m(self): pass\n", b"\n", b"from __future__ import annotations\n", b"async \\\n", b"else:\n",
         b"import os; x = '\\d'\n", b"import os, sys as a, x.y\n", b"def g():\n    global os, x\n    x = os.z()\n", b"# -*- coding: latin-1 -*-\n", b")\n",
         b"try:\n", b"x = [\n", b"match x:\n    case 1:\n        import abc\n", b"    return super().a\n", b"y = (x := 2)\n",
         b"super\n", b"+ 2\n", b"from .__future__ import annotations\n", b"if 0:\n    super = 1\n", b"    + 2\n"]
seed = int(sys.argv[2])
rnd = random.Random(seed)

def edited(lines):
    new = list(lines)
    for _ in range(rnd.choice([1, 1, 1, 2])):
        at, kind = rnd.randrange(len(new) + 1), rnd.random()
        if kind < 0.5:
            new.insert(at, rnd.choice(LINES))
        elif kind < 0.7:
            del new[at:at + rnd.choice([1, 1, 2, 9])]
        elif kind < 0.9 and at < len(new):
            line = bytearray(new[at])
            where = rnd.randrange(len(line))
            line[where:where + rnd.randrange(2)] = rnd.choice([b"", b"x", b"1", b'"', b"#", b" ", b"("])
            new[at] = bytes(line)
        elif new:
            other = rnd.randrange(len(new))
            new[at:at] = new[other:other + rnd.randrange(1, 15)]
    return b"".join(new)

reused = 0
paths = sys.argv[3:] + glob.glob(os.path.dirname(_pytest.__file__) + "/**/*.py", recursive=True) + glob.glob(
    os.path.dirname(os.__file__) + "/test/test_[a-f]*.py")
for n, path in enumerate(paths):
    rewritten = n % 3 > 0
    with open(path, "rb") as f:
        source = f.read()
    try:
        code = whole(path, source, rewritten)
    except (SyntaxError, ValueError):
        continue
    if not reuse.suitable(source, rewritten) or not source:
        continue
    tree = ast.parse(source)
    known = source, reuse.surroundings(source, tree), reuse.units(source, tree, code), sys.flags.optimize, rewritten
    lines = source.splitlines(True)
    for k in range(40 if path in sys.argv else 2):
        new = edited(lines)
        ours = reuse.compiled(known, path, new, None)
        if ours is None:
            continue
        reused += 1
        try:
            code = whole(path, new, rewritten)
            theirs = flat(code), objects(code)
        except Exception as e:
            theirs = e
        if (flat(ours), objects(ours)) != theirs:
            print("seed", seed, path, "differs, edit", k)
            sys.stdout.buffer.write(new[:3000])
            sys.exit()
print(reused > 60)
`

// surrounded is a module whose functions depend on what is around them.
const surrounded = `"a docstring"
from __future__ import division
import os, sys
import json.decoder as decoder
counter = 0

def uses():
    return os.getcwd(), json.x(), decoder.a.b(), counter.real()

@property
@staticmethod
def decorated(a=lambda: 1, *, b: int = 2) -> "str":
    "its docstring"
    def inner():
        nonlocal a
        a = 1
        yield a
    assert inner()

class Plain(object):
    """of many
lines"""
    x: int = 1
    def m(self):
        self.y = 1
        return super().m(), __class__
    class Nested:
        z = 1

def counting():
    global counter
    counter += 1

counter = 1
async def coroutine():
    async with x as y:
        await y
if counter:
    def conditional(): return 1
    import conditional.imported
def ends_left():
    """
"""
def one_line(): assert counter
class Empty: pass
def last():
	assert counter, "tabs"
	return [x for x in 'a' if x]
`

// compilers are Pythons of several releases.
func compilers(t *testing.T) map[string]string {
	pythons := map[string]string{}
	for _, version := range enginetest.Versions {
		pythons[version] = enginetest.Python(t, version)
	}
	for python, version := range map[string]string{"3.8": "7.4.4", "3.12": "8.4.2", "3.13": "9.2.0"} {
		if path, ok := enginetest.PythonWith(t, python, version); ok {
			pythons[version+" with Python "+python] = path
		}
	}
	return pythons
}

func TestReusedCodeIsPytests(t *testing.T) {
	dir := files(t, map[string]string{"surrounded.py": surrounded, "asserting.py": asserting})
	for version, python := range compilers(t) {
		out, err := exec.Command(python, "-W", "ignore", "-c", spliced, "../pyworkers", "1", dir+"/surrounded.py", dir+"/asserting.py", dir+"/surrounded.py").CombinedOutput()
		if err != nil || string(out) != "True\n" {
			t.Errorf("%s: %v\n%.4000s", version, err, out)
		}
	}
}

// surroundings are texts, what becomes of them, and whether anything may be reused:
// what is around a function says more of it than its own lines do.
const surroundings = flattened + `
CLASS = "class A(B):\n    def m(self):\n        return super().m()\n"
for n, (old, new) in enumerate([
    ("def f():\n    return 1 \\\n\nx = 1\n", "def f():\n    return 1 \\\n+ 2\nx = 1\n"),
    ("def f():\n    return 1; \\\n\nx = 1\n", "def f():\n    return 1; \\\nx = 2\nx = 1\n"),
    ("def f():\n    return 1 # \\\n\nx = 1\n", "def f():\n    return 1 # \\\n+ 2\nx = 1\n"),
    (CLASS + "x = 1\n", CLASS + "super\n"),
    (CLASS + "x = 1\n", CLASS + "if 0:\n    super = 1\n"),
    (CLASS + "x = 1\n", CLASS + "@a\ndef super(): pass\n"),
    (CLASS + "x = 1\n", CLASS + "def g(a=super): pass\n"),
    (CLASS + "x = 1\n", CLASS + "import super.x\n"),
    (CLASS + "x = 1\n", CLASS + "def g():\n    global a, \\\n        super\n"),
    (CLASS + "super\n", CLASS + "x = 1\n"),
    (CLASS + "x = 1\n", CLASS + "x = 2\n"),
    ("from .__future__ import annotations\ndef f(a):\n    b: c = 1\n    def g(a: d): pass\n", "from __future__ import annotations\ndef f(a):\n    b: c = 1\n    def g(a: d): pass\n"),
]):
    old, new = old.encode(), new.encode()
    code, tree = compile(old, "m.py", "exec", dont_inherit=True), ast.parse(old)
    ours = reuse.compiled((old, reuse.surroundings(old, tree), reuse.units(old, tree, code), sys.flags.optimize, False), "m.py", new, None)
    print(n, "not reused" if ours is None else flat(ours) == flat(compile(new, "m.py", "exec", dont_inherit=True)))

old = b"def f():\n    return 'a b', 1.5, (1, 2.5), -0.0, 0.0\ndef g():\n    return 1\n"
new = old.replace(b"return 1\n", b"return 'a b', 1.5, (1, 2.5), -0.0, 0.0, b'a b'\n")
code, tree = compile(old, "m.py", "exec", dont_inherit=True), ast.parse(old)
known = old, reuse.surroundings(old, tree), reuse.units(old, tree, code), sys.flags.optimize, False

def warn():
    warnings.warn("once")

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("default")
    warn()
    ours = reuse.compiled(known, "m.py", new, None)
    assert reuse.compiled(known, "m.py", new + b"'\\d'\n", None) is None  # it is warned of
    warn()
space = {}
exec(ours, space)
print("identical", all(a is b for a, b in zip(space["f"](), space["g"]())), [repr(x) for x in space["f"]()[3:]], "warned of", len(said))
`

func TestReusedCodeIsOfItsSurroundings(t *testing.T) {
	for version, python := range compilers(t) {
		out, err := exec.Command(python, "-W", "ignore", "-c", surroundings, "../pyworkers").CombinedOutput()
		if err != nil || strings.Contains(string(out), "False") || !strings.Contains(string(out), "2 True\n") || !strings.Contains(string(out), "10 True\n") ||
			!strings.HasSuffix(string(out), "identical True ['-0.0', '0.0'] warned of 1\n") {
			t.Errorf("%s: %v\n%.4000s", version, err, out)
		}
	}
}
