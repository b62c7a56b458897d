package engine_test

import (
	"os/exec"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// rewritten compiles files with pytest's rewriting of assertions and with ours,
// and prints those whose code differs in anything, places in the source too.
const rewritten = `
import ast, glob, os, sys
sys.path.insert(0, sys.argv[1])
from dxworker import rewriting
import _pytest
from _pytest.assertion import rewrite

def flat(code):
    places = list(code.co_positions()) if hasattr(code, "co_positions") else code.co_lnotab
    return [code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags, code.co_firstlineno, places,
            getattr(code, "co_exceptiontable", b""), [flat(x) if hasattr(x, "co_code") else repr(x) for x in code.co_consts]]

def compiled(path, source):
    tree = ast.parse(source, path)
    rewrite.rewrite_asserts(tree, source, path, None)
    return flat(compile(tree, path, "exec", dont_inherit=True))

before = {name: getattr(rewrite, name, None) for name in ("traverse_node", "rewrite_asserts", "ast")}
count = 0
for path in sys.argv[2:] + glob.glob(os.path.dirname(_pytest.__file__) + "/**/*.py", recursive=True) + glob.glob(
        os.path.dirname(os.__file__) + "/test/test_[ab]*.py"):
    with open(path, "rb") as f:
        source = f.read()
    try:
        theirs = compiled(path, source)
    except (SyntaxError, ValueError):
        continue
    faster = rewriting.Faster()
    faster.begin()
    if before["traverse_node"] is not None and rewrite.traverse_node is before["traverse_node"]:
        print("nothing is in the place of pytest's")
    ours = compiled(path, source)
    faster.end()
    count += 1
    if ours != theirs:
        print(path, "differs")
if {name: getattr(rewrite, name, None) for name in before} != before:
    print("pytest's are not back")
print(count > 60)
`

// asserting is a module of assertions of every kind.
const asserting = `
import asyncio
values = [1, 2, 3]
class Box:
    inner = {"a": [1, 2]}
    def get(self, *args, **kwargs): return kwargs.get("x", args)
box = Box()
def test_a():
    assert values
    assert not values, "message %s" % values
    assert 1 < values[0] <= 2 != 3
    assert box.get(1, *values, x=2, **{"y": 3}) == box.inner["a"][0:1] or values and not box
    assert (n := len(values)) == 3 and n > 2
    assert n in values not in [[]]
    assert all(v > 0 for v in values), f"{values!r} {n:>{3}}"
    assert (lambda x: x)(1) is 1
    assert {1: 2, **{3: 4}} == {1, 2} | {3}
    assert -n + ~n * 2 ** n @ n if n else n
    if n:
        assert "a" "b" b"".decode()
async def test_b():
    assert await asyncio.sleep(0, 1) == 1
    async with n as m:
        assert m
    for a in n:
        while a:
            assert a
        else:
            assert a.b.c(d)[e].f
    try:
        assert 1
    except ValueError:
        assert 2
    finally:
        assert 3
def test_c():
    "a docstring"
    assert (1, 2)
    def inner():
        nonlocal_ = 1
        class C:
            assert nonlocal_
        return C
    assert inner()().__class__.__name__ == \
        'C'
`

func TestRewritingIsPytests(t *testing.T) {
	for _, version := range enginetest.Versions {
		dir := files(t, map[string]string{"asserting.py": asserting})
		out, err := exec.Command(enginetest.Python(t, version), "-W", "ignore", "-c", rewritten, "../pyworkers", dir+"/asserting.py").CombinedOutput()
		if err != nil || string(out) != "True\n" {
			t.Errorf("%s: %v\n%.2000s", version, err, out)
		}
	}
}
