package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// TestSameSecondEdits edits files within a second without changing their size:
// Python's own check of compiled modules, and that of pytest's rewritten ones,
// misses that. A run sees it, in a living engine and in a fresh interpreter.
func TestSameSecondEdits(t *testing.T) {
	for _, v := range enginetest.Versions {
		for _, name := range []string{"lib/plain.py", "lib/lazy.py", "conftest.py", "test_a.py"} {
			for _, living := range []bool{true, false} {
				dir := files(t, map[string]string{
					"pytest.ini": "[pytest]\n", "lib/__init__.py": "", "lib/plain.py": "VALUE = 1\n", "lib/lazy.py": "VALUE = 1\n",
					"conftest.py": "import pytest\nVALUE = 1\n@pytest.fixture\ndef value(): return VALUE\n",
					"test_a.py": "from lib import plain\nVALUE = 1\ndef test_all(value):\n    from lib import lazy\n" +
						"    assert [plain.VALUE, lazy.VALUE, value, VALUE] == [1, 1, 1, 1]\n",
				})
				r, _ := request(t, v, dir, "-p", "no:cacheprovider")
				r.Root = dir
				var e *engine.Engine
				if living {
					e = &engine.Engine{}
					defer e.Close()
				}
				w := &warm{t, dir}
				if got := w.run(e, r); got.Outcomes["test_a.py::test_all"] != "passed" {
					t.Fatalf("%s: %+v", v, got)
				}
				path := filepath.Join(dir, name)
				st, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				w.write(name, strings.Replace(string(text), "VALUE = 1", "VALUE = 2", 1))
				if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil { // in one second, however slow this machine is
					t.Fatal(err)
				}
				if got := w.run(e, r); got.Outcomes["test_a.py::test_all"] != "failed" {
					t.Errorf("pytest %s, living engine %v: the edit of %s is not seen", v, living, name)
				}
			}
		}
	}
}

// compiling imports a module that was compiled before its source got here, one
// that is edited while it is compiled, one that is told by its hash, one that
// pytest rewrites meanwhile, and one that is edited while it is learned; the
// edits leave size and time alone.
const compiling = `
import importlib, os, py_compile, shutil, sys, time
sys.path[:0] = [sys.argv[1], "."]
sys.dont_write_bytecode = False
from dxworker import bytecode
from importlib import _bootstrap_external as loader
bytecode.install()
bytecode.install_rewritten()

def fresh(name):
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)

def write(path, value):
    with open(path, "w") as f:
        f.write("VALUE = %d\n" % value)
    os.utime(path, (1000, 1000))

def compiled(name):
    return os.stat(loader.cache_from_source(name + ".py")).st_mtime_ns

count = []
compiler = loader.SourceLoader.source_to_code
def source_to_code(self, data, path, **kwargs):
    count.append(os.path.basename(path))
    return compiler(self, data, path, **kwargs)
loader.SourceLoader.source_to_code = source_to_code

write("copied.py", 1)
fresh("copied")
os.utime(loader.cache_from_source("copied.py"), (1000, 1000))
time.sleep(0.03)  # behind what a clock of files may miss
for _ in range(3):
    module = fresh("copied")
    assert type(module.__cached__) is str and os.path.exists(module.__cached__), module.__cached__
print(count, os.listdir("__pycache__") == [os.path.basename(module.__cached__)])

write("edited.py", 1)
time.sleep(0.03)
def editing(self, data, path, **kwargs):
    code = compiler(self, data, path, **kwargs)
    write("edited.py", 2)
    return code
loader.SourceLoader.source_to_code = editing
first = fresh("edited").VALUE
loader.SourceLoader.source_to_code = compiler
print(first, fresh("edited").VALUE)

for mode in py_compile.PycInvalidationMode.CHECKED_HASH, py_compile.PycInvalidationMode.UNCHECKED_HASH:
    write("hashed.py", 1)
    py_compile.compile("hashed.py", invalidation_mode=mode)
    time.sleep(0.03)
    write("hashed.py", 2)
    value = fresh("hashed").VALUE
    with open(loader.cache_from_source("hashed.py"), "rb") as f:
        print("hashed", value, f.read(5)[4])

import pytest
from _pytest.assertion import rewrite
write("test_edited.py", 1)
time.sleep(0.03)
rewriting = rewrite.rewrite_asserts
def editing(*args):
    rewriting(*args)
    write("test_edited.py", 2)
seen = []
class Plugin:
    def pytest_collection_modifyitems(self):
        seen.append(sys.modules.pop("test_edited").VALUE)
rewrite.rewrite_asserts = editing
pytest.main(["-q", "-p", "no:cacheprovider", "test_edited.py"], plugins=[Plugin()])
rewrite.rewrite_asserts = rewriting
pytest.main(["-q", "-p", "no:cacheprovider", "test_edited.py"], plugins=[Plugin()])
print(seen)

from dxworker import reuse
write("test_learned.py", 1)
time.sleep(0.03)
class Control:
    def send(learned):
        print("learned", learned)
class Learner:
    def pytest_collection_modifyitems(self):
        writing = rewrite._write_pyc
        def editing(*args):
            write("test_learned.py", 2)
            return writing(*args)
        rewrite._write_pyc = editing
        reuse.learned(os.path.abspath("test_learned.py"), True, os.open("known", os.O_RDWR | os.O_CREAT), Control)
        rewrite._write_pyc = writing
class Reader:
    def pytest_collection_modifyitems(self):
        print("behind", sys.modules["test_learned"].VALUE)
for plugin in Learner(), Reader():
    pytest.main(["-s", "-q", "-p", "no:cacheprovider", "test_learned.py"], plugins=[plugin])
    del sys.modules["test_learned"]
`

func TestCompiledIsAsOldAsItsSource(t *testing.T) {
	workers, err := filepath.Abs("../pyworkers")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range enginetest.Versions {
		cmd := exec.Command(enginetest.Python(t, v), "-c", compiling, workers)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		for _, want := range []string{"['copied.py', 'copied.py'] True\n", "\n1 2\n", "\n[1, 2]\n", "\nhashed 2 3\nhashed 1 1\n", "\nlearned True\n", "\nbehind 2\n"} {
			if err != nil || !strings.Contains("\n"+string(out), want) {
				t.Errorf("%s: %v, not %q in\n%s", v, err, want, out)
			}
		}
	}
}

// parts imports a module that is known, behind edits, and one that is held.
const parts = `
import importlib, os, shutil, sys
sys.path[:0] = [sys.argv[1], os.getcwd()]
sys.dont_write_bytecode = False
from dxworker import bytecode, reuse
from importlib import _bootstrap_external as loader
path = os.path.abspath("module.py")

whole = []
compiler = loader.SourceLoader.source_to_code
def source_to_code(self, data, path, **kwargs):
    whole.append(os.path.basename(path))
    return compiler(self, data, path, **kwargs)
loader.SourceLoader.source_to_code = source_to_code
bytecode.install()

def fresh():
    sys.modules.pop("module", None)
    importlib.invalidate_caches()
    return importlib.import_module("module")

def write(value, added=""):
    with open(path, "w") as f:
        f.write("import os\n\n\ndef before(): \n    return os.sep\n\n\n%sVALUE = %d\n\n\nclass After:\n    def get(self):\n        return VALUE\n" % (added, value))

class Control:
    def send(self, learned):
        self.learned = learned

def learn(rewritten=False):
    control, fd = Control(), os.open("known", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    reuse.learned(path, rewritten, os.dup(fd), control)
    return reuse.Known([path], [fd]) if control.learned else None

def imported(*args):
    """What the module says once it is edited, and whether all of it was compiled for that."""
    write(*args)
    del whole[:]
    module = fresh()
    with open(path) as f:
        lines = f.read().split("\n")
    at = lines[module.After.get.__code__.co_firstlineno - 1]
    return module.VALUE, module.After().get(), module.before(), at.strip(), whole[:], os.path.exists(loader.cache_from_source(path))

write(1)
bytecode.known = learn()
print(1, *imported(2))
print(2, *imported(3, "# a line\n"))
bytecode.collected()
print(3, *imported(4))
bytecode.known = learn()
sys.dont_write_bytecode = True
print(4, *imported(5))
sys.dont_write_bytecode = False
shutil.rmtree("__pycache__")
open("__pycache__", "w").close()
print(5, *imported(6))
os.remove("__pycache__")
code = reuse.Known.code
def editing(self, *args):
    found = code(self, *args)
    write(8)
    return found
reuse.Known.code = editing
print(6, *imported(7))
reuse.Known.code = code
bytecode.known = None
write(9)
fresh()
compiled = loader.cache_from_source(path)
os.utime(compiled, ns=(os.stat(path).st_ctime_ns + 1, os.stat(path).st_ctime_ns + 1))  # of nobody's doubt
del whole[:]
bytecode.hold(path)
held = bytecode.held[path][1]

def taken():
    code = fresh().before.__code__
    return any(code is part for part in held.co_consts)

print(7, taken(), taken(), whole)
print(8, type(learn(True)).__name__)
print(9, *imported(10))
print(10, taken())
bytecode.known = learn()
class Loader(loader.SourceFileLoader):
    def source_to_code(self, data, path, **kwargs):
        return compiler(self, data.replace(b"VALUE = 11", b"VALUE = 12"), path, **kwargs)
write(11)
space = {}
exec(Loader("module", path).get_code("module"), space)
print(11, space["VALUE"])
loader.SourceLoader.source_to_code = Loader.source_to_code
write(11)
print(12, fresh().VALUE)
`

// TestEditedModulesAreCompiledInPart has the code of edited modules equal that
// of the whole text, without it being compiled, where that is certain.
func TestEditedModulesAreCompiledInPart(t *testing.T) {
	workers, err := filepath.Abs("../pyworkers")
	if err != nil {
		t.Fatal(err)
	}
	// The edit, what the module's parts say, what was compiled as a whole, and
	// whether a compiled module was written.
	const want = `1 2 2 / def get(self): [] True
2 3 3 / def get(self): [] True
3 4 4 / def get(self): ['module.py'] True
4 5 5 / def get(self): ['module.py'] True
5 6 6 / def get(self): ['module.py'] False
6 8 8 / def get(self): ['module.py'] True
7 True False []
8 NoneType
9 10 10 / def get(self): ['module.py'] True
10 False
11 12
12 12
`
	for _, v := range enginetest.Versions {
		cmd := exec.Command(enginetest.Python(t, v), "-c", parts, workers)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", v, err)
		}
		if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Errorf("%s: %s", v, diff)
		}
	}
}
