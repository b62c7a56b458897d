package engine_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// held are the descriptors and shared mappings that this process has.
func held(t *testing.T) (descriptors, mappings int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds), strings.Count(string(maps), "memfd:")
}

// children are the processes whose parent this one is.
func children(t *testing.T) (pids []string) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children") // a thread may have ended
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}

// fault is a file of tests of which some do what ends or harms their process.
type fault struct {
	source string
	want   string // outcomes by name; one in [a|b] may be either
	says   string // in what is printed
	limit  time.Duration
	ends   bool // pytest itself ends with an exception behind the tests
}

// faults are in files of their own; each has a test behind, that must run.
var faults = map[string]fault{
	"exits": {source: `
import os, pytest
@pytest.fixture
def setup(): os._exit(4)
@pytest.fixture
def teardown():
    yield
    os._exit(5)
def test_before(): pass
def test_setup(setup): pass
def test_call(): os._exit(0)
def test_teardown(teardown): pass
`, want: "before passed, setup error, call error, teardown error, after passed", says: "ended with exit status 4"},
	"signals": {source: `
import ctypes, os, sys
def test_segfault(): ctypes.string_at(0)
def test_abort(): os.abort()
def test_between(): pass
def test_stack():
    sys.setrecursionlimit(1 << 30)
    import threading
    f = ctypes.CFUNCTYPE(None)
    def deep(): g()
    g = f(deep)
    g()
`, want: "segfault error, abort error, between passed, stack [error|failed], after passed", says: "ended by SIGABRT"},
	"forks": {source: `
import os, time
def test_fork_and_exit():
    if os.fork() == 0:
        while True:
            time.sleep(1)
    os._exit(3)
def test_between(): pass
def test_fork():
    if os.fork() == 0:
        while True:
            time.sleep(1)
`, want: "fork_and_exit error, between passed, fork passed, after passed", says: "ended with exit status 3"},
	"descriptors": {source: `
import os
def test_close(): os.closerange(0, 200)
`, want: "close [error|failed], after passed"},
	"folder": {source: `
import os, tempfile
def test_gone(monkeypatch):
    d = tempfile.mkdtemp()
    monkeypatch.chdir(d)
    os.rmdir(d)
`, want: "gone [passed|error], after passed"},
	"files": {source: `
import resource
def test_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
def test_more(): pass
`, want: "limit [passed|failed|error], more passed, after passed"},
	"memory": {source: `
import resource
def test_limit():
    resource.setrlimit(resource.RLIMIT_AS, (1, 1))
def test_memory():
    bytearray(1 << 26)
`, want: "limit [passed|failed|error], memory [failed|error], after passed"},
	"size": {source: `
import resource
def test_limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    print("x" * 100000)
`, want: "limit [passed|failed|error], after passed"},
	"processes": {source: `
import os, resource
def test_limit():
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
`, want: "limit passed, after passed"},
	"output": {source: `
import os, sys
def test_bytes():
    os.write(1, bytes(range(128, 256)) * 1000)
    assert 0
def test_much():
    for _ in range(200):
        os.write(1, b"x" * (1 << 20))
`, want: "bytes failed, much passed, after passed", says: "\uFFFD"},
	"status": {source: `
import sys
def test_exit(): sys.exit(3)
`, want: "exit failed, after passed", says: "SystemExit: 3"},
	"hangs": {source: `
import collections, itertools, time
def test_sleep(): time.sleep(1000)
def test_between(): pass
def test_c(): collections.deque(itertools.repeat(None), maxlen=0)
`, want: "sleep failed, between passed, c error, after passed", says: "did not end within 5s more", limit: 300 * time.Millisecond},
	"modules": {source: `
import sys
def test_modules():
    sys.modules.clear()
`, want: "modules [passed|failed|error], after passed", ends: true},
}

func matches(want, got string) bool {
	if w, ok := strings.CutPrefix(want, "["); ok {
		for alternative := range strings.SplitSeq(strings.TrimSuffix(w, "]"), "|") {
			if alternative == got {
				return true
			}
		}
		return false
	}
	return want == got
}

// check runs a fault's tests in an engine and compares.
func (f fault) check(t *testing.T, e *engine.Engine, dir, version string, workers int) {
	t.Helper()
	r, out := request(t, version, dir, "-p", "no:cacheprovider")
	r.Workers, r.Texts, r.Timeout = workers, false, f.limit // as the command line has it
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	res := &results{tests: map[string]*pytest.Result{}}
	status, err := e.Run(ctx, r, res)
	if err != nil {
		t.Error(err)
	}
	text := out.String()
	got := res.outcomes()
	bad := 0
	for pair := range strings.SplitSeq(f.want, ", ") {
		test, want, _ := strings.Cut(pair, " ")
		id := "test_a.py::test_" + test
		if !matches(want, got[id]) {
			t.Errorf("%s: %q, want %s", test, got[id], want)
		}
		if res.tests[id] != nil && res.tests[id].Outcome.Bad() {
			bad++
		}
	}
	if got["test_b.py::test_beside"] != "passed" {
		t.Errorf("beside: %q", got["test_b.py::test_beside"])
	}
	if n := strings.Count(f.want, ",") + 2; len(res.order) != n || res.ended.NotRun != 0 {
		t.Errorf("%d results, %d not run, of %d tests: %v", len(res.order), res.ended.NotRun, n, res.order)
	}
	if !strings.Contains(text, f.says) {
		t.Errorf("%q is not said", f.says)
	}
	if (status != 0) != (bad > 0) && !(f.ends && status == 1) {
		t.Errorf("exit status %d with %d failures", status, bad)
	}
	if t.Failed() {
		t.Logf("problems %q, printed:\n%.3000s", res.problems, text)
	}
}

// TestFaults runs tests that end or harm their process: each has one result,
// those beside run once, and nothing is left.
func TestFaults(t *testing.T) {
	for name, f := range faults {
		for _, version := range []string{"9.2.0", "7.4.4"} {
			for _, workers := range []int{1, 2} {
				if version != "9.2.0" && (workers == 2 || name == "output") {
					continue // nothing there is of one version
				}
				t.Run(fmt.Sprintf("%s/%s/%d", name, version, workers), func(t *testing.T) {
					dir := files(t, map[string]string{"test_a.py": f.source + "\ndef test_after(): pass\n", "test_b.py": "def test_beside(): pass\n"})
					fds, maps := held(t)
					f.check(t, cold, dir, version, workers)
					if version == "9.2.0" {
						e := &engine.Engine{}
						for k := range 3 { // the first finds files as young as its session, the second makes one, the third has it
							if k == 0 || f.limit == 0 { // else it takes long
								f.check(t, e, dir, version, workers)
							}
						}
						e.Close()
					}
					if fdsNow, mapsNow := held(t); fdsNow > fds || mapsNow > maps {
						t.Errorf("%d descriptors and %d mappings, before %d and %d", fdsNow, mapsNow, fds, maps)
					}
					if left := children(t); len(left) > 0 {
						t.Errorf("processes %v are left", left)
					}
				})
			}
		}
	}
}

// TestFaultsWhileCollecting ends the process before there are tests, with a
// fork that goes on.
func TestFaultsWhileCollecting(t *testing.T) {
	const fork = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\n"
	for end, how := range map[string]string{"os._exit(3)": "exit status 3", "os.abort()": "it was ended by SIGABRT", "import ctypes; ctypes.string_at(0)": "it was ended by SIGSEGV", "os.closerange(3, 200)": "exit status 1"} {
		for _, name := range []string{"conftest.py", "test_a.py"} {
			dir := files(t, map[string]string{name: fork + end + "\n", "test_b.py": "def test_b(): pass\n"})
			for _, workers := range []int{1, 2} {
				for _, e := range []*engine.Engine{cold, {}}[workers-1:] {
					r, _ := request(t, "9.2.0", dir)
					r.Workers = workers
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					_, err := e.Run(ctx, r)
					cancel()
					if diff := cmp.Diff("the Python process ended before all tests were collected: "+how, fmt.Sprint(err)); diff != "" {
						t.Errorf("%s, %d workers: want (-), got (+):\n%s", name, workers, diff)
					}
					if e != nil {
						e.Close()
					}
					if left := children(t); len(left) > 0 {
						t.Errorf("%s, %d workers: processes %v are left", name, workers, left)
					}
				}
			}
		}
	}
}

// TestOddCollections has modules do what pytest survives, or what ends it: the
// exit status and the text are pytest's.
func TestOddCollections(t *testing.T) {
	for what, source := range map[string]string{
		"sys.exit": "import sys; sys.exit(3)", "interrupt": "raise KeyboardInterrupt", "pytest.exit": "import pytest; pytest.exit('enough', 7)",
		"much":   "import os\nfor _ in range(40): os.write(1, b'x' * 100000 + b'\\xff\\n')\n",
		"folder": "import os, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
		"limit":  "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
	} {
		for _, name := range []string{"conftest.py", "test_a.py"} {
			t.Run(what+" in "+name, func(t *testing.T) {
				dir := files(t, map[string]string{name: source + "\ndef test_a(): pass\n", "test_b.py": "def test_b(): pass\n"})
				args := []string{"-p", "no:cacheprovider", "--tb=native"}
				want, wantStatus := plain(t, enginetest.Python(t, "9.2.0"), dir, args...)
				if wantStatus == -1 {
					wantStatus = 130 // as a shell says that SIGINT has ended it
				}
				warm := &engine.Engine{}
				defer warm.Close()
				for _, workers := range []int{1, 2} {
					for k, e := range []*engine.Engine{cold, warm, warm, warm}[:5-2*workers] {
						r, out := request(t, "9.2.0", dir, args...)
						r.Workers = workers
						status, err := e.Run(context.Background(), r)
						if err != nil || status != wantStatus {
							t.Errorf("run %d, %d workers: status %d, %v; pytest has %d", k, workers, status, err, wantStatus)
						}
						a, b := strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")
						if a[0] == "Traceback (most recent call last):" { // pytest's own frames, some of them ours
							a, b = a[max(0, len(a)-4):], b[max(0, len(b)-4):]
						}
						if diff := cmp.Diff(a, b); diff != "" && workers == 1 {
							t.Errorf("run %d: pytest (-), here (+):\n%.3000s", k, diff)
						}
					}
				}
			})
		}
	}
}
