package engine_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// forked is what a function of Python's returns in a process of its own.
const forked = `
import json, os
def forked(function, *args):
    r, w = os.pipe()
    if os.fork() == 0:
        told = function(*args)
        with open(w, "w") as f:
            json.dump(told, f)
        os._exit(0)
    os.close(w)
    with open(r) as f:
        told = json.load(f)
    os.wait()
    return told
`

// collected runs pytest with and without what makes collecting faster, prints
// where items, their locations and fixtures, warnings, what is printed or asked
// of objects differ; of how many items the location was not asked for, how many
// there were, and whether objects of the project's were asked at all.
const collected = forked + `
import contextlib, io, json, re, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import pytest
from _pytest import fixtures
from dxworker import factories
from dxworker.locations import Locations

class Plugin:
    def __init__(self, ours):
        self.ours, self.told, self.count = ours, [], 0
    def pytest_collection_finish(self, session):
        locations, ours = Locations(), 0
        for item in session.items:
            if self.ours:
                before = item.session._node_location_to_relpath
                asked = []
                item.session._node_location_to_relpath = lambda path: asked.append(path) or before(path)
                place = locations.of(item)
                del item.session._node_location_to_relpath
                assert item.location == place
                ours += not asked
            defs = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
            self.told.append([item.nodeid, list(item.location), {name: [repr(d) for d in found] for name, found in defs.items()},
                              list(getattr(item, "fixturenames", ()))])
        self.count = ours

def run(ours):
    plugin, out, faster = Plugin(ours), io.StringIO(), factories.Faster()
    if ours:
        faster.begin()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = int(pytest.main(["-v", "-s", "-p", "no:cacheprovider", "-p", "no:randomly"], plugins=[plugin]))
    faster.end()
    if "dir" in vars(fixtures):
        plugin.told.append("dir is not back")
    text = re.sub(r"in [0-9.]+s|0x[0-9a-f]+", "", out.getvalue())
    return [status, text, re.sub(r"0x[0-9a-f]+", "", json.dumps(plugin.told))], plugin.count

theirs, ours = forked(run, False), forked(run, True)
if theirs[0] != ours[0]:
    print("differ", *theirs[0], *ours[0], sep="\n")
print(ours[1], len(json.loads(theirs[0][2])), "lazy __test__" in theirs[0][1])
`

func TestCollectingFasterIsPytests(t *testing.T) {
	tree := map[string]string{
		"conftest.py": `
import functools, pytest, unittest.mock
@pytest.fixture
def plain(): return 1
@pytest.fixture(name="named", autouse=True, params=[1, 2])
def _named(request): return request.param
def wrapping(f):
    @functools.wraps(f)
    def inner(*args): return f(*args)
    return inner
class Holder:
    @pytest.fixture
    def held(self): return 1
taken = Holder().held
mock = unittest.mock.MagicMock()
call = unittest.mock.call
class Told:
    def __getattr__(self, name):
        print("asked for", name)
        raise AttributeError(name)
told = Told()
class Meta(type):
    def __getattr__(self, name):
        print("class asked for", name)
        raise AttributeError(name)
class Asked(metaclass=Meta): pass
class Plugin:
    instance = None
    @property
    def asked(self): print("a property is asked for"); raise AttributeError
    @pytest.fixture
    def of_plugin(self): return 4
    def pytest_report_header(self): return "a plugin"
    def __getattr__(self, name):
        print("plugin asked for", name)
        raise AttributeError(name)
class Slots:
    __slots__ = ("slot", "other")
    def __dir__(self): print("dir"); return ["slot", "other", "odd"]
class Peculiar:
    def __getattribute__(self, name):
        print("peculiar asked for", name)
        return object.__getattribute__(self, name)
class Bare:
    __slots__ = ()
    def __getattr__(self, name):
        print("bare asked for", name)
        raise AttributeError(name)
class Watched(type):
    def __getattribute__(cls, name):
        print("watched class asked for", name)
        return type.__getattribute__(cls, name)
class OfWatched(metaclass=Watched): pass
class Looked:
    def __get__(self, instance, owner):
        print("looked at")
        raise AttributeError
class WithLooked:
    __wrapped__ = _pytestfixturefunction = Looked()
def pytest_itemcollected(item):
    if item.name.startswith("test_m["): item.reportinfo = lambda: (str(item.fspath), 41, "moved")
def pytest_configure(config):
    plugin = Plugin()
    plugin.instance = pytest.fixture(lambda: 5)
    for p in (plugin, Slots(), Peculiar(), Bare(), OfWatched()):
        config.pluginmanager.register(p)
wrapped_class = type("Wrapped", (), {"__wrapped__": plain})
`,
		"lazy.py":  "def __getattr__(name):\n    print('lazy', name)\n    raise AttributeError(name)\n",
		"dirs.py":  "def __dir__(): return ['test_x']\ndef test_x(): pass\n",
		"parts.py": "import pytest\n@pytest.fixture\ndef imported(): return 3\ndef test_shared(): pass\nclass TestShared:\n    def test_m(self): pass\n",
		"test_a.py": `
import functools, lazy, dirs, pytest, unittest, unittest.mock
from parts import *
from conftest import wrapping, told, Meta
@pytest.mark.parametrize("x", [1, 2])
def test_many(x, plain): pass
def test_imported(imported): pass
@wrapping
def test_wrapped(): pass
@unittest.mock.patch("os.getcwd")
def test_mocked(cwd): pass
def test_placed(): pass
test_placed.place_as = test_many
exec("def test_made(): pass")
exec(compile("\n\n\ndef test_made_there(): pass", "made.py", "exec"))
test_again = test_imported
def late():
    def test_inner(): pass
    return test_inner
test_closure = late()
class Property:
    @property
    def __wrapped__(self): print("wrapped is asked for"); raise AttributeError
class TestC:
    @pytest.fixture
    def own(self): return 1
    def test_m(self, own): pass
    @staticmethod
    def test_static(): pass
    @classmethod
    def test_class(cls): pass
    class TestInner:
        def test_deep(self): pass
class TestMeta(metaclass=Meta):
    inner = told
    @pytest.fixture
    def of_meta(self): return 1
    def test_meta(self, of_meta): pass
class TestOdd:
    __dir__ = lambda self: ["test_odd"]
    odd = Property()
    def test_odd(self, of_plugin): pass
class TestD(TestC):
    def test_m(self, own): pass
class TestU(unittest.TestCase):
    def test_u(self): pass
    @unittest.skip("no")
    def test_s(self): pass
@pytest.fixture
def own_again(plain): return plain
@functools.lru_cache
def cached(): pass
prop, wrong = Property(), wrapping(own_again)
`,
		"test_b.py": "from test_a import TestC, test_many, own_again\ndef test_b(own_again): pass\n",
	}
	workers, err := filepath.Abs("../pyworkers")
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{"conftest.py": "import pytest\npytest.Function.reportinfo = lambda self: (str(self.fspath), 41, 'moved')\n",
		"test_c.py": "def test_c(): pass\ndef test_d(): pass\n"}
	for _, version := range enginetest.Versions {
		want := "40 60 True\n"
		if version < "7" {
			want = "34 54 True\n" // classmethods are no tests
		}
		for _, c := range []struct {
			tree map[string]string
			want string
		}{{tree, want}, {replaced, "0 2 False\n"}} {
			cmd := exec.Command(enginetest.Python(t, version), "-c", collected, workers)
			cmd.Dir = files(t, c.tree)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%.3000s", version, err, out)
			}
			if string(out) != c.want {
				t.Errorf("%s: %.5000s", version, out)
			}
		}
	}
}
