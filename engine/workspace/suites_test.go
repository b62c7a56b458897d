package workspace_test

import (
	"encoding/json"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// imported collects each file given in a fork of its own, and prints the files
// of the modules that are loaded then.
const imported = `
import json, os, sys
sys.path[0] = os.path.dirname(sys.executable)
import pytest
options = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    r, w = os.pipe()
    if not os.fork():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        pytest.main([path, *options, "-q", "-p", "no:cacheprovider"])
        with os.fdopen(w, "w") as f:
            json.dump(sorted({os.path.abspath(f) for m in list(sys.modules.values()) for f in [getattr(m, "__file__", None)] if isinstance(f, str)}), f)
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.wait()
    print(json.dumps([path, json.loads(text)]), flush=True)
`

// loads collects each file by itself and returns the files of the project that
// are loaded then.
func loads(t *testing.T, python, dir string, options, paths []string) map[string][]string {
	t.Helper()
	opts, _ := json.Marshal(options)
	cmd := exec.Command(python, append([]string{"-c", imported, string(opts)}, paths...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var row []json.RawMessage
		var path string
		var files []string
		if json.Unmarshal([]byte(line), &row) != nil || json.Unmarshal(row[0], &path) != nil || json.Unmarshal(row[1], &files) != nil {
			t.Fatalf("%q", line)
		}
		all[path] = slices.DeleteFunc(files, func(f string) bool {
			return !strings.HasPrefix(f, dir+"/") || !strings.HasSuffix(f, ".py") || !file.IsRegular(f) // in a zip file
		})
	}
	return all
}

// TestGraphOfRandomProjects lets Python import what random projects import, in
// ways that get in each other's way: each file by itself, then all in one
// session. DX_PY_PROJECTS says how many.
func TestGraphOfRandomProjects(t *testing.T) {
	python := enginetest.Python(t, "9.2.0")
	n, _ := strconv.Atoi(os.Getenv("DX_PY_PROJECTS"))
	for seed := range max(n, 3) {
		rng := rand.New(rand.NewSource(int64(seed)))
		dir := t.TempDir()
		ini := "[pytest]\npythonpath = lib .\n"
		mode := []string{"prepend", "append", "importlib"}[rng.Intn(3)]
		write(t, dir, "pytest.ini", ini+"addopts = --import-mode="+mode+"\n")
		for _, p := range randomPaths {
			if rng.Intn(3) == 0 && !strings.Contains(p, "test_") {
				continue
			}
			text := "import importlib\nTYPE_CHECKING = False\n"
			for range rng.Intn(5) {
				stmt := randomImports[rng.Intn(len(randomImports))]
				if rng.Intn(4) == 0 {
					stmt = "def f():\n        " + stmt + "\n    f()"
				}
				text += "try:\n    " + stmt + "\nexcept Exception:\n    pass\n"
			}
			if strings.Contains(p, "test_") {
				text += "def test_a():\n    pass\n"
			}
			write(t, dir, p, text)
		}
		w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
		g := graphOf(t, w.Apply(workspace.Update{}))
		w.Close()
		if len(g.Roots()) == 0 {
			t.Fatal("no tests")
		}
		all := loads(t, python, dir, []string{"--collect-only"}, append(slices.Clone(g.Roots()), dir))
		union := map[string]bool{}
		for _, path := range g.Roots() {
			depends := g.Depends(path)
			for _, p := range depends {
				union[p] = true
			}
			for _, f := range all[path] {
				if _, ok := slices.BinarySearch(depends, f); !ok {
					t.Errorf("seed %d, %s: %s loads %s, and the graph does not say so", seed, mode, path[len(dir):], f[len(dir):])
				}
			}
		}
		for _, f := range all[dir] {
			if !union[f] && filepath.Base(f) != "conftest.py" {
				t.Errorf("seed %d, %s: a session loads %s, and no test depends on it", seed, mode, f[len(dir):])
			}
		}
	}
}

var randomPaths = []string{
	"conftest.py", "a.py", "b.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py", "pkg/sub/__init__.py", "pkg/sub/a.py", "pkg/sub/c.py", "a/__init__.py",
	"a/b.py", "lib/b.py", "lib/pkg/c.py", "lib/a/c.py", "lib/ns/a.py", "ns/b.py", "tests/__init__.py", "tests/conftest.py", "tests/a.py",
	"tests/test_x.py", "tests/test_y.py", "tests/in/test_z.py", "tests/in/conftest.py", "tests/in/__init__.py", "tests/in/b.py", "deep/d.py", "deep/test_d.py",
}

var randomImports = []string{
	"import a", "import b", "import c", "import d", "import pkg", "import pkg.a", "import pkg.sub.c", "import a.b", "import a.c", "from pkg import a, b, sub",
	"from pkg.sub import *", "from . import a", "from . import b", "from .a import x", "from .. import a, b", "from ..sub import c", "from a import b",
	"from tests import a", "importlib.import_module('tests.in.b')", "import ns.a", "import ns.b", "from ns import a, b", "from ns.b import x",
	"importlib.import_module('b')", "importlib.import_module('.a', __package__)", "importlib.import_module('pkg.' + 'b')", "__import__('pkg', fromlist=['a'])",
	"name = 'a'; importlib.import_module(f'pkg.{name}')", "name = 'ns.a'; importlib.import_module(name)", "import test_x", "import tests.test_y", "import conftest",
}

// TestGraphHasWhatIsImported collects each test file of the public suites: the
// graph must say that it depends on every file of the project that is loaded
// then. With DX_PY_SUITES, the folder of the suites, all test files are
// collected, else four of each. DX_PY_SUITE_ARGS replaces --collect-only, ""
// to run the tests too.
func TestGraphHasWhatIsImported(t *testing.T) {
	suites := os.Getenv("DX_PY_SUITES")
	all := suites != ""
	if !all {
		suites, _ = filepath.Abs("../../.suites")
	}
	dirs, _ := filepath.Glob(filepath.Join(suites, "*", "src"))
	if len(dirs) == 0 {
		t.Skipf("no suites in %s; make conformance puts them there", suites)
	}
	args, set := os.LookupEnv("DX_PY_SUITE_ARGS")
	if !set {
		args = "--collect-only"
	}
	only := strings.Fields(os.Getenv("NAMES"))
	for _, dir := range dirs {
		if len(only) > 0 && !slices.Contains(only, filepath.Base(filepath.Dir(dir))) {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			python := filepath.Join(filepath.Dir(dir), "venv", "bin", "python")
			w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
			defer w.Close()
			s := w.Apply(workspace.Update{})
			g, err := s.Graph()
			if err != nil {
				t.Fatal(err)
			}
			roots := g.Roots()
			for !all && len(roots) > 4 {
				roots = slices.Delete(slices.Clone(roots), len(roots)/3, len(roots)/3+1)
			}
			files, said := 0, 0
			for path, loaded := range loads(t, python, dir, strings.Fields(args), roots) {
				depends := g.Depends(path)
				said += len(depends)
				files += len(loaded)
				for _, f := range loaded {
					if _, ok := slices.BinarySearch(depends, f); !ok {
						t.Errorf("%s loads %s, and the graph does not say so", path, f)
					}
				}
			}
			t.Logf("%d test files load %d files of the project; the graph says %d", len(roots), files, said)
		})
	}
}
