package config

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// TestTablesKnowEverything asks the newest pytest for its options and ini keys:
// each stands in a table, with its number of arguments.
func TestTablesKnowEverything(t *testing.T) {
	const script = `
import json, _pytest.config
p = _pytest.config.get_config([])._parser
opts = []
for g in p._groups + [p._anonymous]:
    for o in g.options:
        a = o.attrs()
        n = a.get("nargs")
        act = a.get("action", "store")
        arity = -1 if n == "?" else 0 if n == 0 or act in ("store_true", "store_false", "store_const", "count") else 1
        opts.append([o.names(), arity])
print(json.dumps([opts, list(p._inidict)]))
`
	out, err := exec.Command(enginetest.Python(t, enginetest.Versions[len(enginetest.Versions)-1]), "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc []json.RawMessage
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	var opts [][2]json.RawMessage
	var keys []string
	if err := errors.Join(json.Unmarshal(doc[0], &opts), json.Unmarshal(doc[1], &keys)); err != nil {
		t.Fatal(err)
	}
	if len(opts) < 80 || len(keys) < 40 {
		t.Fatalf("pytest tells of %d options and %d keys", len(opts), len(keys))
	}
	for _, o := range opts {
		var names []string
		var arity int
		if err := errors.Join(json.Unmarshal(o[0], &names), json.Unmarshal(o[1], &arity)); err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if known := byName[n]; known == nil {
				t.Errorf("pytest's option %s is in no table", n)
			} else if known.arity != arity {
				t.Errorf("%s takes %d arguments, the table says %d", n, arity, known.arity)
			}
		}
	}
	for _, k := range keys {
		if _, ok := iniKeys[k]; !ok {
			t.Errorf("pytest's ini key %s is in no table", k)
		}
	}
}

// layout is a folder with configuration files, and how pytest is called there.
type layout struct {
	name  string
	files map[string]string
	dir   string
	args  []string
}

var layouts = []layout{
	{"nothing", map[string]string{"a/test_x.py": ""}, ".", nil},
	{"pytest.ini", map[string]string{"pytest.ini": "", "a/test_x.py": ""}, "a", nil},
	{"dot pytest.ini", map[string]string{".pytest.ini": "[pytest]\naddopts = -v\n", "a/x.py": ""}, "a", nil},
	{"dot pytest.ini without section", map[string]string{".pytest.ini": "", "tox.ini": "[pytest]\n", "a/x.py": ""}, "a", nil},
	{"pytest.toml", map[string]string{"pytest.toml": "[pytest]\npython_files = ['check_*.py']\n", "pytest.ini": "[pytest]\n"}, ".", nil},
	{"pyproject", map[string]string{"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['b', 'a*']\npython_functions = 'check it'\n", "a1/x.py": "", "b/y.py": ""}, ".", nil},
	{"pyproject native", map[string]string{"pyproject.toml": "[tool.pytest]\ntestpaths = ['a']\npython_classes = ['Spec*']\n", "a/x.py": ""}, ".", nil},
	{"pyproject without section", map[string]string{"pyproject.toml": "[project]\nname = 'x'\n", "a/b/test_x.py": "", "setup.py": ""}, "a/b", nil},
	{"tox", map[string]string{"tox.ini": "[tox]\n[pytest]\nnorecursedirs = x y\n  z\n"}, ".", nil},
	{"tox without section", map[string]string{"tox.ini": "[tox]\n", "a/setup.cfg": "[tool:pytest]\n"}, "a", nil},
	{"setup.cfg", map[string]string{"setup.cfg": "[metadata]\nname = x\n[tool:pytest]\npython_files =\n    a_*.py\n    b_*.py\n"}, ".", nil},
	{"setup.py", map[string]string{"setup.py": "", "a/b/test_x.py": ""}, "a/b", nil},
	{"argument", map[string]string{"pytest.ini": "[pytest]\n", "a/pytest.ini": "[pytest]\naddopts = -q\n", "a/test_x.py": ""}, ".", []string{"a"}},
	{"two arguments", map[string]string{"a/pytest.ini": "[pytest]\n", "a/x/test_x.py": "", "a/y/test_y.py": ""}, ".", []string{"a/x", "a/y/test_y.py"}},
	{"arguments apart", map[string]string{"a/pytest.ini": "[pytest]\n", "a/test_x.py": "", "b/test_y.py": ""}, ".", []string{"a", "b"}},
	{"-c", map[string]string{"c/other.ini": "[pytest]\npython_files = q_*.py\n", "test_x.py": ""}, ".", []string{"-c", "c/other.ini"}},
	{"--rootdir", map[string]string{"pytest.ini": "[pytest]\n", "a/test_x.py": ""}, "a", []string{"--rootdir", ".."}},
	{"-o", map[string]string{"pytest.ini": "[pytest]\npython_files = a.py\n"}, ".", []string{"-o", "python_files=b.py c.py"}},
	{"addopts", map[string]string{"pytest.ini": "[pytest]\naddopts = --ignore=x -k 'a or b' --import-mode=importlib\n"}, ".", []string{"--ignore", "y", "-m", "slow"}},
	{"option of a conftest", map[string]string{
		"pytest.ini": "[pytest]\naddopts = --level 2\ntestpaths = a\n", "a/x.py": "",
		"conftest.py": "def pytest_addoption(parser): parser.addoption('--level')\n",
	}, ".", nil},
	{"testpaths elsewhere", map[string]string{"pytest.ini": "[pytest]\ntestpaths = a\n", "a/x.py": "", "b/y.py": ""}, "b", nil},
	{"testpaths missing", map[string]string{"pytest.ini": "[pytest]\ntestpaths = nowhere\n"}, ".", nil},
	{"node id", map[string]string{"a/pytest.ini": "[pytest]\n", "a/test_x.py": ""}, ".", []string{"a/test_x.py::test_y[1]"}},
	{"cluster", map[string]string{"pytest.ini": "[pytest]\n", "a/x.py": ""}, ".", []string{"-xvk", "name", "a"}},
	{"both tables", map[string]string{"pyproject.toml": "[tool.pytest]\naddopts = ['-v']\n[tool.pytest.ini_options]\naddopts = '-q'\n"}, ".", nil},
	{"wrong type", map[string]string{"pyproject.toml": "[tool.pytest]\npython_files = 'x.py'\n"}, ".", nil},
	{"bad ini", map[string]string{"pytest.ini": "[pytest]\nno equals sign\n"}, ".", nil},
	{"bad toml", map[string]string{"pyproject.toml": "[tool\n"}, ".", nil},
	{"inline comment", map[string]string{"pytest.ini": "# c\n[pytest]\n; c\npython_files = a.py # no comment\n"}, ".", nil},
}

const ask = `
import json, sys
import _pytest.config
try:
    c = _pytest.config.get_config(sys.argv[1:])
    c.parse(sys.argv[1:])
    g = c.getini
    mode = c.getoption("importmode")
    print("@@" + json.dumps({
        "Root": str(c.rootpath if hasattr(c, "rootpath") else c.rootdir), "Ini": str(c.inipath or "") if hasattr(c, "inipath") else str(c.inifile or ""),
        "Args": c.args, "Files": list(g("python_files")), "Classes": list(g("python_classes")), "Functions": list(g("python_functions")),
        "NoRecurse": list(g("norecursedirs")), "Ignore": c.getoption("ignore") or [], "K": c.getoption("keyword"), "M": c.getoption("markexpr"), "Mode": mode}))
except BaseException as e:
    print("@@" + json.dumps({"Root": "error"}))
`

type answer struct {
	Root, Ini                            string
	Args                                 []string
	Files, Classes, Functions, NoRecurse []string
	Ignore                               []string
	K, M, Mode                           string
}

// TestEqualsPytest compares what is determined in each layout with what each
// release determines.
func TestEqualsPytest(t *testing.T) {
	for _, release := range enginetest.Versions {
		v, _ := pytest.ParseVersion(release)
		python := enginetest.Python(t, release)
		for _, l := range layouts {
			t.Run(release+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				root, err := filepath.EvalSymlinks(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				for name, text := range l.files {
					p := filepath.Join(root, name)
					if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
						t.Fatal(err)
					}
				}
				dir := filepath.Join(root, l.dir)
				cmd := exec.Command(python, append([]string{"-c", ask}, l.args...)...)
				cmd.Dir = dir
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				var want answer
				if err := json.Unmarshal(out[slices.Index(out, '@')+2:], &want); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				got := answer{Root: "error"}
				if c, err := Load(Input{Dir: dir, Args: l.args}, v); err == nil {
					got = answer{c.Root, c.IniPath, c.Args, c.PythonFiles, c.PythonClasses, c.PythonFunctions, c.NoRecurseDirs, c.Ignore, c.Keyword, c.MarkExpr, c.ImportMode}
					if got.Ignore == nil {
						got.Ignore = []string{}
					}
				} else if want.Root != "error" {
					t.Log(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("pytest (-), ours (+):\n%s", diff)
				}
			})
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("[pytest]\naddopts = -q\n", "[tool.pytest.ini_options]\nx = 1\n", "-x 'a b'")
	f.Add("x\n [", "[tool.pytest]\npython_files = [1]\n", "\"")
	f.Fuzz(func(t *testing.T, ini, toml, opts string) {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "tox.ini"), []byte(ini), 0o644), os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(toml), 0o644)); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Input{Dir: dir, AddOpts: opts}, pytest.Newest)
		var usage *UsageError
		if err != nil && !errors.As(err, &usage) {
			t.Fatalf("an error of type %T: %v", err, err)
		}
	})
}
