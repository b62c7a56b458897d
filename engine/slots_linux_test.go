package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// withXdist are the environments that have pytest-xdist.
func withXdist(t *testing.T) map[string]string {
	t.Helper()
	found := enginetest.Reports(t)
	for name := range found {
		if !strings.HasSuffix(name, "-xdist") {
			delete(found, name)
		}
	}
	return found
}

// said are the lines of a log, sorted: processes write at the same time.
func said(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Sort(lines)
	return lines
}

// TestWorkersAreConfigured has a conftest write down which of pytest-xdist's
// hooks are called in which process, and what is there to be read.
func TestWorkersAreConfigured(t *testing.T) {
	for name, python := range withXdist(t) {
		t.Run(name, func(t *testing.T) {
			args := []string{"-p", "no:cacheprovider", "-n2", "--dist=loadfile", "-q"}
			log := filepath.Join(t.TempDir(), "log")
			t.Setenv("LOG", log)
			text, status := plain(t, python, project(t, "workers"), args...)
			if status != 0 {
				t.Fatalf("status %d of pytest:\n%s", status, text)
			}
			want := said(t, log)
			for range 2 {
				log := filepath.Join(t.TempDir(), "log")
				t.Setenv("LOG", log)
				r, out := requestOf(t, python, project(t, "workers"), args[:2]...)
				r.Workers, r.Dist = 2, "loadfile"
				res, status := runTests(t, r)
				if status != 0 || len(res.order) != 12 || !strings.HasPrefix(res.started.Reason, "each collects for itself: conftest.py asks") {
					t.Fatalf("status %d, %d results, %q:\n%s", status, len(res.order), res.started.Reason, out.String())
				}
				if n := strings.Count(out.String(), "summary of controller\n"); n != 1 || strings.Contains(out.String(), "summary of gw") {
					t.Errorf("%d summaries of the controller in\n%s", n, out.String())
				}
				if diff := cmp.Diff(want, said(t, log)); diff != "" {
					t.Errorf("pytest -n2 (-), here (+):\n%s", diff)
				}
			}
		})
	}
}

// TestModulesAsk has a module of the project that is imported when tests are
// collected read which worker it is in.
func TestModulesAsk(t *testing.T) {
	test := "import os, names\ndef test_a(worker_id): assert names.DATABASE == 'db_' + worker_id\n"
	dir := write(t, map[string]string{
		"names.py":  "import os\nDATABASE = 'db_' + os.environ.get('PYTEST_XDIST_WORKER', 'none')\n",
		"test_a.py": test, "test_b.py": test,
	})
	r, out := requestOf(t, enginetest.Reports(t)["9.2.0-xdist"], dir, "-p", "no:rerunfailures")
	r.Workers = 2
	res, status := runTests(t, r)
	if status != 0 || res.started.Workers != 2 || res.started.Reason != "each collects for itself: names asks which worker it is in" {
		t.Errorf("status %d, %d workers, %q:\n%s", status, res.started.Workers, res.started.Reason, out.String())
	}
}

// TestDjango compares what becomes of tests with databases, and what is printed
// of them, with plain pytest.
func TestDjango(t *testing.T) {
	python := enginetest.Django(t)
	args := []string{"-q", "-rA", "--tb=line", "-p", "no:cacheprovider"}
	text, wantStatus := plain(t, python, project(t, "django"), args...)
	want := summary(normal(text))
	if len(want) < 2*13 {
		t.Fatalf("pytest says\n%s", text)
	}
	for _, n := range []int{1, 2} {
		for _, more := range [][]string{nil, {"--cov=shop"}} {
			r, out := requestOf(t, python, project(t, "django"), slices.Concat(args, more)...)
			r.Workers = n
			res, status := runTests(t, r)
			if status != wantStatus || res.started.Workers != n {
				t.Errorf("%v: %d workers, %q, status %d, want %d", more, res.started.Workers, res.started.Reason, status, wantStatus)
			}
			if diff := cmp.Diff(want, summary(normal(out.String()))); diff != "" {
				t.Errorf("%d workers, %v: pytest (-), here (+):\n%s", n, more, diff)
			}
		}
	}
}

// TestOneUseForEachWorker has a conftest make a folder when it is configured
// and remove it at the end: workers must not share it.
func TestOneUseForEachWorker(t *testing.T) {
	files := map[string]string{"pytest.ini": "[pytest]\n", "conftest.py": `
import os, shutil, tempfile
def pytest_configure(config):
    config.mine = tempfile.mkdtemp(dir=os.environ["HERE"])
def pytest_unconfigure(config):
    shutil.rmtree(config.mine)
`}
	for _, n := range []string{"a", "b", "c"} {
		files["test_"+n+".py"] = `
import os
def test_there(pytestconfig):
    with open(os.path.join(pytestconfig.mine, "` + n + `"), "x"): pass
def test_still(pytestconfig): assert os.path.isdir(pytestconfig.mine)
`
	}
	for _, v := range []string{"7.4.4", "9.2.0"} {
		here := t.TempDir()
		t.Setenv("HERE", here)
		r, out := request(t, v, write(t, files))
		r.Workers, r.Root = 3, r.Dir // what a session reads and does is recorded where results are remembered
		if res, status := runTests(t, r); status != 0 || len(res.order) != 6 || !strings.Contains(res.started.Reason, "conftest.py:4 ") {
			t.Errorf("%s: status %d, %d results, %q:\n%s", v, status, len(res.order), res.started.Reason, out.String())
		}
		if left, _ := os.ReadDir(here); len(left) > 0 {
			t.Errorf("%s: %v is left", v, left)
		}
	}
}

// TestOneCollectionWhereItDoes has nothing in a project that workers must not
// share.
func TestOneCollectionWhereItDoes(t *testing.T) {
	for _, v := range enginetest.Versions {
		r, _ := request(t, v, write(t, map[string]string{"pytest.ini": "[pytest]\n", "conftest.py": "", "test_a.py": "def test_a(): pass\ndef test_b(): pass\n"}))
		r.Workers, r.Root = 2, r.Dir
		if res, status := runTests(t, r); status != 0 || res.started.Workers != 2 || res.started.Reason != "" {
			t.Errorf("%s: status %d, %d workers, %q", v, status, res.started.Workers, res.started.Reason)
		}
	}
}

// TestSlotDies has tests end the processes that were configured for them: the
// others run in new ones, and plugins are told.
func TestSlotDies(t *testing.T) {
	python := enginetest.Reports(t)["9.2.0-xdist"]
	files := map[string]string{"pytest.ini": "[pytest]\n", "app.py": "def f(): return 1\n", "conftest.py": `
import os
def pytest_configure(config):
    config.worker = getattr(config, "workerinput", {"workerid": "none"})["workerid"]
def pytest_testnodedown(node, error):
    print("DOWN", node.gateway.id, error)
`}
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "def test_%d(pytestconfig, worker_id): assert app.f() and worker_id == pytestconfig.worker\n", i)
	}
	files["test_a.py"] = "import os, app\ndef test_dies(): os._exit(3)\n" + b.String()
	files["test_b.py"] = "import os, app\n" + b.String() + "def test_dies(): os._exit(4)\n"
	r, out := requestOf(t, python, write(t, files), "--cov=app", "-p", "no:cacheprovider")
	r.Workers = 2
	res, status := runTests(t, r)
	got := res.outcomes()
	if status != 1 || len(res.order) != 42 || got["test_a.py::test_dies"] != "error" || got["test_b.py::test_dies"] != "error" {
		t.Errorf("status %d, %d results, %v", status, len(res.order), got)
	}
	if res.ended.Totals[pytest.Passed] != 40 {
		t.Errorf("totals %v", res.ended.Totals)
	}
	s := out.String()
	for _, want := range []string{"ended with exit status 3\n", "ended with exit status 4\n", "None\n", "coverage: failed workers", "40 passed, 2 error"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
}

// TestKeptBesideSlots makes several runs with slots in a living engine: none is
// left of an earlier run, nor when the engine is closed, and what a test leaves
// behind is named.
func TestKeptBesideSlots(t *testing.T) {
	python := enginetest.Reports(t)["9.2.0"]
	files := covered()
	files["tests/test_a.py"] += "import subprocess\ndef test_leaves(): subprocess.Popen(['sleep', '1000'])\n"
	dir := write(t, files)
	mine := "DX_MINE=" + dir
	e := &engine.Engine{}
	defer e.Close()
	for i := range 3 {
		r, out := requestOf(t, python, dir, "--cov=app", "-p", "no:cacheprovider", "-q")
		r.Workers, r.Vars = 2, append(r.Vars, mine)
		res := &results{tests: map[string]*pytest.Result{}}
		status, err := e.Run(context.Background(), r, res)
		if err != nil || status != 0 || len(res.order) != 10 || res.started.Workers != 2 {
			t.Fatalf("run %d: status %d, %v, %d results:\n%s", i, status, err, len(res.order), out.String())
		}
		if len(res.problems) != 1 || !strings.Contains(res.problems[0], "sleep 1000") || strings.Contains(res.problems[0], "\n") {
			t.Errorf("run %d: problems %q", i, res.problems)
		}
		if s := out.String(); !strings.Contains(s, "TOTAL                30      6    80%\n") {
			t.Errorf("run %d: coverage is other in\n%s", i, s)
		}
		for began := time.Now(); withVariable(mine) > 2; time.Sleep(time.Millisecond) { // the interpreter, and the stage with its plugins; what ends beside has no event
			if time.Since(began) > 10*time.Second {
				t.Fatalf("run %d: %d processes", i, withVariable(mine))
			}
		}
	}
	e.Close()
	if n := withVariable(mine); n != 0 {
		t.Errorf("%d processes after Close", n)
	}
}

// TestOthersAreFound keeps all on one worker where workers find other tests.
func TestOthersAreFound(t *testing.T) {
	dir := write(t, map[string]string{"conftest.py": `
import os
def pytest_generate_tests(metafunc):
    if "x" in metafunc.fixturenames:
        metafunc.parametrize("x", [os.environ.get("PYTEST_XDIST_WORKER", "none"), 1])
`, "test_a.py": "def test_a(x): pass\n"})
	r, out := request(t, "9.2.0", dir)
	r.Workers = 2
	res, status := runTests(t, r)
	if status != 0 || res.started.Workers != 1 || !strings.Contains(res.started.Reason, "collected other tests") || len(res.order) != 2 {
		t.Errorf("status %d, %d workers, %q, %v:\n%s", status, res.started.Workers, res.started.Reason, res.order, out.String())
	}
}
