package workspace_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// imported collects each file given in a fork of its own, and prints the files
// of the modules that are loaded then.
const imported = `
import json, os, sys
sys.path[0] = os.path.dirname(sys.executable)
import pytest
class Loaded:
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        self.files = sorted({os.path.abspath(f) for m in list(sys.modules.values()) for f in [getattr(m, "__file__", None)] if isinstance(f, str)})
options = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    r, w = os.pipe()
    if not os.fork():
        loaded = Loaded()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        pytest.main([path, *options, "-q", "-p", "no:cacheprovider"], plugins=[loaded])
        with os.fdopen(w, "w") as f:
            json.dump(loaded.files, f)
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.wait()
    print(json.dumps([path, json.loads(text)]), flush=True)
`

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
			options, _ := json.Marshal(strings.Fields(args))
			cmd := exec.Command(python, append([]string{"-c", imported, string(options)}, roots...)...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			files, said := 0, 0
			for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
				var row []json.RawMessage
				var path string
				var loaded []string
				if json.Unmarshal([]byte(line), &row) != nil || json.Unmarshal(row[0], &path) != nil || json.Unmarshal(row[1], &loaded) != nil {
					t.Fatalf("%q", line)
				}
				depends := g.Depends(path)
				said += len(depends)
				for _, f := range loaded {
					if _, in := strings.CutPrefix(f, dir+"/"); !in || !strings.HasSuffix(f, ".py") || !file.IsRegular(f) { // in a zip file
						continue
					}
					files++
					if _, ok := slices.BinarySearch(depends, f); !ok {
						t.Errorf("%s loads %s, and the graph does not say so", path, f)
					}
				}
			}
			t.Logf("%d test files load %d files of the project; the graph says %d", len(roots), files, said)
		})
	}
}
