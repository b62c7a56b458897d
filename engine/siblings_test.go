package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// beside runs pytest with its own listing of folders and with ours, for several
// arguments, and prints where anything differs but the modules that nobody asks
// for: what is printed, and each item with its parents. It prints for which
// arguments fewer modules were made.
const beside = forked + `
import contextlib, io, json, re, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import pytest
from _pytest import main, pathlib, python
from dxworker.siblings import Siblings, Directory

made = []
class Module(python.Module):
    def __init__(self, *args, **kwargs):
        made.append(kwargs["path"].name)
        super().__init__(*args, **kwargs)
python.Module = Module

class Seen:
    def __init__(self):
        self.calls = []
    def pytest_collectstart(self, collector):
        self.calls.append(["start", type(collector).__name__, collector.nodeid])
    def pytest_itemcollected(self, item):
        self.calls.append(["item", item.nodeid])
    def pytest_collection_finish(self, session):
        for item in session.items:
            self.calls.append([[type(n).__name__, n.nodeid] for n in item.listchain()] + [sorted(item.keywords), sorted(item.fixturenames)])

stage = {"__name__": "_dxworker.stage", "siblings": Siblings(), "pytest": pytest}
exec("""class Ours:
    @pytest.hookimpl(tryfirst=True)
    def pytest_collectstart(self, collector):
        siblings.starts(collector)
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self):
        siblings.end()
""", stage)
Ours = stage["Ours"]
Seen.__module__ = "seen"

def run(args, *plugins):
    """What is said of a run of pytest, and which modules it made."""
    seen, out = Seen(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = int(pytest.main(["-v", "-p", "no:cacheprovider", *args], plugins=[seen, *plugins]))
    if main.scandir is not pathlib.scandir or python.scandir is not pathlib.scandir:
        seen.calls.append("pytest's listing is not back")
    return [status, re.sub(r"in [0-9.]+s", "", out.getvalue()), seen.calls], made

if Directory is None:
    sys.exit()
fewer = []
for args in json.loads(sys.argv[2]):
    theirs, ours = forked(run, args), forked(run, args, Ours())
    if ours[0] != theirs[0]:
        print(args, "differ", *theirs[0], *ours[0], sep="\n")
    if len(ours[1]) < len(theirs[1]):
        fewer.append(" ".join(args))
    if not set(ours[1]) <= set(theirs[1]):
        print(args, "other modules", *ours[1])
for args in fewer:
    print(args)
`

func TestSiblingsAreNotMade(t *testing.T) {
	tree := map[string]string{
		"setup.py": "", "test_root.py": "def test_r(): pass\n", "test_roots.py": "def test_r(): pass\n", "pytest.ini": "[pytest]\npython_files = test_*.py __init__.py\n",
		"a/conftest.py":     "import pytest\ncollect_ignore = ['test_ignored.py']\n@pytest.fixture\ndef fix(): pass\n",
		"a/test_one.py":     "import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_a(x, fix): pass\nclass TestC:\n    def test_m(self): pass\n",
		"a/test_two.py":     "def test_b(): pass\n",
		"a/test_bad.py":     "import nothing_of_that_name\n",
		"a/test_ignored.py": "def test_i(): pass\n", "a/data.txt": "",
		"p/__init__.py": "def test_in_init(): pass\n", "p/test_p.py": "def test_p(): pass\n", "p/test_q.py": "def test_q(): pass\n",
		"p/q/__init__.py": "", "p/q/test_deep.py": "def test_d(): pass\n", "p/q/test_deeper.py": "def test_d(): pass\n",
		"p/bare/test_n.py": "def test_n(): pass\n", "p/bare/test_o.py": "def test_o(): pass\n",
	}
	const arguments = `["a/test_one.py"], ["a", "p/test_p.py"], ["--confcutdir=p", "p/q/test_deep.py"], ["a/data.txt"], [".", "a/test_two.py"]`
	const others = `["a/test_one.py::test_a"], ["a/test_one.py::TestC::test_m", "p/q/test_deep.py"],
		["a/test_two.py", "a/test_one.py", "a/test_two.py"], ["a/test_one.py::test_a[2]", "a/test_one.py::test_a"],
		["a/test_bad.py", "a/test_one.py"], ["a/test_ignored.py"], ["a/none.py"], ["a/test_one.py::none"],
		["p/__init__.py"], ["p/test_p.py", "p/__init__.py"], ["p/bare/test_n.py", "p/q"], ["linked.py"], ["way/test_one.py"],
		["--keep-duplicates", "a/test_two.py", "a/test_two.py"], ["--ignore=a/test_two.py", "a/test_two.py"],
		["--deselect=a/test_one.py::test_a", "a/test_one.py"], ["--doctest-modules", "a/test_two.py"], ["--rootdir=a", "a/test_two.py"],
		["--pyargs", "p.q.test_deep"], ["--debug=log.txt", "a/test_two.py"], [], ["a", "p"]`
	const cut = "--confcutdir=p p/q/test_deep.py\n" // the conftest is not loaded
	const fewer = "a/test_one.py\na p/test_p.py\n" + cut + `a/data.txt
a/test_one.py::test_a
a/test_one.py::TestC::test_m p/q/test_deep.py
a/test_two.py a/test_one.py a/test_two.py
a/test_one.py::test_a[2] a/test_one.py::test_a
a/test_bad.py a/test_one.py
a/test_ignored.py
a/test_one.py::none
p/__init__.py
p/test_p.py p/__init__.py
p/bare/test_n.py p/q
linked.py
way/test_one.py
--keep-duplicates a/test_two.py a/test_two.py
--ignore=a/test_two.py a/test_two.py
--deselect=a/test_one.py::test_a a/test_one.py
--doctest-modules a/test_two.py
--rootdir=a a/test_two.py
--pyargs p.q.test_deep
a p
`
	workers, err := filepath.Abs("../pyworkers")
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]struct{ file, text, fewer string }{
		"only pytest":       {},
		"files are seen":    {"conftest.py", "def pytest_collect_file(file_path): print('saw', file_path.name)\n", cut},
		"files are ignored": {"conftest.py", "def pytest_ignore_collect(collection_path): print('asked', collection_path.name)\n", cut},
		"a hook of no module": {"conftest.py", "space = {'__name__': None}\nexec('def pytest_collectreport(report): pass', space)\n" +
			"pytest_collectreport = space['pytest_collectreport']\n", cut},
		"around pytest's": {"conftest.py", "import functools, _pytest.python\n@functools.wraps(_pytest.python.pytest_collect_file)\n" +
			"def pytest_collect_file(file_path, parent): print('saw', file_path.name)\n", cut},
		"a plugin collects": {"conftest.py", "import pathlib, pytest\ndef pytest_collection_modifyitems(session, items):\n" +
			"    for name in 'a/..', 'p/q': items.extend(session.genitems(pytest.Dir.from_parent(session, path=pathlib.Path(name).resolve())))\n", "a/test_one.py\na p/test_p.py\n" + cut + "a/data.txt\n"},
		"a folder is looked at again": {"conftest.py", "import pytest\ndef pytest_collection_modifyitems(session, items):\n" +
			"    for item in list(items): items.extend(session.genitems(item.getparent(pytest.File).parent))\n", "a/test_one.py\na p/test_p.py\n" + cut + "a/data.txt\n"},
		"calls are seen": {"conftest.py", "def pytest_configure(config): config.pluginmanager.add_hookcall_monitoring(\n" +
			"    lambda name, impls, args: name == 'pytest_collect_file' and print('saw', args['file_path'].name), lambda *args: None)\n", cut},
		"nodes are seen": {"conftest.py", "import pytest\ndef watch(kind, collect):\n    def ours(self):\n        for node in collect(self):\n            print('saw', node.name)\n" +
			"            yield node\n    kind.collect = ours\nfor kind in pytest.Dir, pytest.Package: watch(kind, kind.collect)\n", cut},
		"modules are seen": {"conftest.py", "import pytest\ninit = pytest.Module.__init__\ndef ours(self, *args, **kwargs):\n" +
			"    print('saw', kwargs['path'].name)\n    init(self, *args, **kwargs)\npytest.Module.__init__ = ours\n", cut},
		"what cannot be ignored":       {"conftest.py", "collect_ignore = None\n", cut},
		"what to ignore is asked once": {"conftest.py", "collect_ignore = (print('asked for', name) or name for name in 'ab')\n", cut},
		"what to ignore is found late": {"conftest.py", "def __getattr__(name):\n    if name.startswith('collect'): print('asked for', name)\n    raise AttributeError(name)\n", cut},
		"no patterns":                  {"pytest.ini", "[pytest]\nnorecursedirs = 'a\n", ""},
	} {
		for _, version := range enginetest.Versions {
			t.Run(name+", "+version, func(t *testing.T) {
				dir := files(t, tree)
				want, all := fewer, "["+arguments+", "+others+"]"
				if more.file != "" {
					if err := os.WriteFile(filepath.Join(dir, more.file), []byte(more.text), 0o644); err != nil {
						t.Fatal(err)
					}
					want, all = more.fewer, "["+arguments+"]"
				}
				if version < "8" {
					want = ""
				}
				for link, to := range map[string]string{"linked.py": "a/test_one.py", "way": "a", "a/round": "round"} {
					if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.Command(enginetest.Python(t, version), "-W", "ignore", "-c", beside, workers, all)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if diff := cmp.Diff(want, string(out)); diff != "" {
					t.Errorf("%.6000s", diff)
				}
			})
		}
	}
}
