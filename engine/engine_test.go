package engine_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cold is an engine that keeps nothing.
var cold *engine.Engine

// results collects what a run says.
type results struct {
	tests    map[string]*pytest.Result
	order    []string
	started  run.Started
	ended    run.Ended
	problems []string
}

func (r *results) Event(e run.Event) {
	switch {
	case e.Started != nil:
		r.started = *e.Started
	case e.Test != nil:
		r.tests[e.Test.ID] = e.Test
		r.order = append(r.order, e.Test.ID)
	case e.Problem != nil:
		r.problems = append(r.problems, e.Problem.Message)
	case e.Ended != nil:
		r.ended = *e.Ended
	}
}

// outcomes are the tests' outcomes by id.
func (r *results) outcomes() map[string]string {
	m := map[string]string{}
	for id, t := range r.tests {
		m[id] = t.Outcome.String()
	}
	return m
}

// environment is that of the tests without what changes pytest's answers: where
// CI or BUILD_NUMBER is set it prints whole summary lines, and a test of the
// zoo clears the environment of the process that prints them with one worker.
func environment() []string {
	return append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "PYTEST_") || slices.Contains([]string{"PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "CI", "BUILD_NUMBER"}, name)
	}), "PYTHONHASHSEED=0") // pytest has sets of colours
}

// request is a run in a folder, with what pytest prints in a file.
func request(t *testing.T, version, dir string, args ...string) (engine.Request, *output) {
	t.Helper()
	return requestOf(t, enginetest.Python(t, version), dir, args...)
}

func requestOf(t *testing.T, python, dir string, args ...string) (engine.Request, *output) {
	t.Helper()
	env, err := pyenv.Find(pyenv.Input{Python: python, Root: dir, Env: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	out := newOutput(t)
	return engine.Request{Env: env, Dir: dir, Vars: environment(), Args: args, State: t.TempDir(), Texts: true, Stdout: out.w, Stderr: out.w}, out
}

// output is a pipe, as plain pytest has it here: a test that opens /dev/stdout
// would truncate a file.
type output struct {
	w    *os.File
	text chan string
}

func newOutput(t *testing.T) *output {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := &output{w, make(chan string, 1)}
	go func() {
		b, _ := io.ReadAll(r)
		r.Close()
		o.text <- string(b)
	}()
	t.Cleanup(func() { w.Close() })
	return o
}

// String waits for the end of the output. No process may hold the pipe by then.
func (o *output) String() string {
	o.w.Close()
	s := <-o.text
	o.text <- s
	return s
}

// runTests runs a request to its end.
func runTests(t *testing.T, r engine.Request) (*results, int) {
	t.Helper()
	res := &results{tests: map[string]*pytest.Result{}}
	status, err := cold.Run(context.Background(), r, res)
	if err != nil {
		t.Fatal(err)
	}
	return res, status
}

// plain runs pytest as its console script does.
func plain(t *testing.T, python, dir string, args ...string) (string, int) {
	t.Helper()
	code := "import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + '/pytest'; import pytest; sys.exit(pytest.main())"
	cmd := exec.Command(python, append([]string{"-c", code, filepath.Dir(python)}, args...)...)
	cmd.Dir, cmd.Env = dir, environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// variable is what differs from run to run: times, addresses, counted folders.
var variable = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`in \d+\.\d+s( \(\d+:\d+:\d+\))?`), "in Ns"},
	{regexp.MustCompile(`(?m)^=+ (.*) =+$`), "= $1 ="},
	{regexp.MustCompile(`(?m)^\d+\.\d+s (call|setup|teardown) .*$`), "Ns phase"},
	{regexp.MustCompile(`(?m) \d+(\.\d+)?m?s$`), " Ns"},
	{regexp.MustCompile(`0x[0-9a-f]{6,}`), "0xADDRESS"},
	{regexp.MustCompile(`(?m)^Executing <.*> took \d+\.\d+ seconds\n`), ""}, // asyncio's, where the machine is slow
	{regexp.MustCompile(`pytest-of-[^/]+/pytest-\d+`), "pytest-N"},
}

func normal(s string) string {
	for _, v := range variable {
		s = v.what.ReplaceAllString(s, v.by)
	}
	return s
}

// project copies a folder of testdata/projects, so that no cache stays behind.
func project(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../testdata/projects", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTextIsPytests compares everything that is printed, and the exit status,
// with pytest's own, under options that change the loop or the report.
func TestTextIsPytests(t *testing.T) {
	all := [][]string{
		{}, {"-v"}, {"-q"}, {"-x"}, {"-rA"}, {"--durations=3", "-vv"}, {"-s"}, {"--tb=short", "--maxfail=3"}, {"--capture=sys"},
		{"-p", "no:logging"}, {"--setup-show"}, {"--collect-only", "-q"}, {"-k", "fail or TestU", "--color=yes"}, {"-o", "log_level=INFO"},
		{"-o", "console_output_style=count"}, {"--bad-option"}, {"nothing_here.py"}, {"test_zoo.py::TestU", "test_zoo.py::test_par[1-2]"},
		{"-o", "console_output_style=times"}, {"-n0"}, {"--fixtures", "-q"}, {"-p", "no:terminal"},
	}
	for _, v := range enginetest.Versions {
		options := all
		if v != "9.2.0" {
			options = all[:6]
		}
		t.Run(v, func(t *testing.T) {
			dir := project(t, "outcomes")
			for _, o := range options {
				args := append([]string{"-p", "no:cacheprovider"}, o...)
				if v == "7.4.4" {
					// An exception group's text shows pytest's own frames there, and
					// they are not the same: README, "what may differ".
					args = append(args, "--deselect", "test_zoo.py::test_group")
				}
				want, wantStatus := plain(t, enginetest.Python(t, v), dir, args...)
				r, out := request(t, v, dir, args...)
				_, status := runTests(t, r)
				if status != wantStatus {
					t.Errorf("%v: exit status %d, pytest has %d", o, status, wantStatus)
				}
				if diff := cmp.Diff(strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")); diff != "" {
					t.Errorf("%v: pytest (-), here (+):\n%s", o, diff)
				}
			}
		})
	}
}

// TestEdges compares what is printed of tests that write bytes and megabytes,
// leave their folder, take descriptors away, fork and empty sys.modules.
func TestEdges(t *testing.T) {
	for _, v := range enginetest.Versions {
		dir := project(t, "edges")
		args := []string{"-p", "no:cacheprovider", "--tb=short", "-rA"}
		want, wantStatus := plain(t, enginetest.Python(t, v), dir, args...)
		r, out := request(t, v, dir, args...)
		_, status := runTests(t, r)
		if status != wantStatus {
			t.Errorf("%s: exit status %d, pytest has %d", v, status, wantStatus)
		}
		a, b := strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")
		for i := range max(len(a), len(b)) { // cmp would take minutes for a line of megabytes
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				t.Errorf("%s: line %d of %d and %d differs: %.200q, %.200q", v, i+1, len(a), len(b), a[min(i, len(a)-1)], b[min(i, len(b)-1)])
				break
			}
		}
	}
}

// TestPythons compares what is printed on other releases of Python.
func TestPythons(t *testing.T) {
	for _, v := range [][2]string{{"3.8", "6.2.5"}, {"3.8", "7.4.4"}, {"3.12", "8.4.2"}, {"3.13", "9.2.0"}, {"3.14", "9.2.0"}} {
		t.Run(v[0]+" "+v[1], func(t *testing.T) {
			python, ok := enginetest.PythonWith(t, v[0], v[1])
			if !ok {
				t.Logf("this machine has no Python %s", v[0])
				return
			}
			dir := project(t, "outcomes")
			for _, o := range []string{"-rA", "-v"} {
				args := []string{"-p", "no:cacheprovider", o}
				want, wantStatus := plain(t, python, dir, args...)
				r, out := requestOf(t, python, dir, args...)
				_, status := runTests(t, r)
				if status != wantStatus {
					t.Errorf("exit status %d, pytest has %d", status, wantStatus)
				}
				if diff := cmp.Diff(strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")); diff != "" {
					t.Errorf("%s: pytest (-), here (+):\n%s", o, diff)
				}
			}
		})
	}
}

// TestCrashes runs tests that end their process: each ends in one state, and
// the others run once.
func TestCrashes(t *testing.T) {
	want := map[string]string{
		"test_crash.py::test_before": "passed", "test_crash.py::test_fail": "failed", "test_crash.py::test_exit": "error",
		"test_crash.py::test_between": "passed", "test_crash.py::test_segv": "error", "test_crash.py::test_setup": "error",
		"test_crash.py::test_td": "error", "test_crash.py::test_exit_code": "failed",
		"test_crash.py::test_after": "passed",
	}
	for _, v := range enginetest.Versions {
		t.Run(v, func(t *testing.T) {
			r, out := request(t, v, project(t, "crashes"))
			res, status := runTests(t, r)
			if diff := cmp.Diff(want, res.outcomes()); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			if len(res.order) != len(want) {
				t.Errorf("%d results for %d tests", len(res.order), len(want))
			}
			if status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			all := out.String()
			for _, s := range []string{
				"ERROR at call of test_exit", "ended with exit status 3", "last words", "ended by SIGSEGV", "ERROR at teardown of test_td",
				"Captured stdout call", "hello", "2 failed, 3 passed, 4 errors",
			} {
				if !strings.Contains(all, s) {
					t.Errorf("%q is not printed in\n%s", s, all)
				}
			}
			if n := strings.Count(all, "____ ERROR at call of test_exit _"); n != 1 {
				t.Errorf("the crash is told %d times", n)
			}
		})
	}
}

// TestInterruptInTest raises what ends a session, in a test: nothing is green.
func TestInterruptInTest(t *testing.T) {
	for what, want := range map[string]int{"raise KeyboardInterrupt": 2, "import pytest; pytest.exit('enough')": 2, "import pytest; pytest.exit('enough', 9)": 9} {
		dir := t.TempDir()
		for name, source := range map[string]string{
			"test_a.py": "def test_a(): pass\ndef test_end():\n    " + what + "\ndef test_b(): pass\n",
			"test_b.py": "import time\ndef test_c(): pass\ndef test_d(): pass\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, plainStatus := plain(t, enginetest.Python(t, "9.2.0"), dir, "-p", "no:cacheprovider")
		if plainStatus != want {
			t.Fatalf("pytest ends with %d, want %d", plainStatus, want)
		}
		for _, workers := range []int{1, 2} {
			r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
			r.Workers = workers
			res, status := runTests(t, r)
			if status != want {
				t.Errorf("%s, %d workers: exit status %d, want %d", what, workers, status, want)
			}
			if res.outcomes()["test_a.py::test_b"] != "" {
				t.Errorf("%s, %d workers: a test ran behind the end", what, workers)
			}
			if s := out.String(); !strings.Contains(s, "!!!!") {
				t.Errorf("%s, %d workers: not said in\n%s", what, workers, s)
			}
		}
	}
}

// TestForkInTest has a child of a test come back into pytest, where it fails
// and goes on: it prints what it prints in pytest itself, and its results are
// nobody's.
func TestForkInTest(t *testing.T) {
	dir := t.TempDir()
	source := `
import os
def test_a(): pass
def test_fork():
    pid = os.fork()
    if pid == 0:
        assert 0
    os.waitpid(pid, 0)
def test_b(): pass
def test_c(): pass
`
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-p", "no:cacheprovider"}
	want, _ := plain(t, enginetest.Python(t, "9.2.0"), dir, args...)
	r, out := request(t, "9.2.0", dir, args...)
	res, status := runTests(t, r)
	if status != 0 || len(res.order) != 4 {
		t.Errorf("exit status %d, results of %v", status, res.order)
	}
	if diff := cmp.Diff(strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")); diff != "" {
		t.Errorf("pytest (-), here (+):\n%s", diff)
	}
}

// TestProcessDies ends the process while pytest starts and collects.
func TestProcessDies(t *testing.T) {
	for name, source := range map[string]string{
		"conftest.py": "import os; os._exit(7)\n",
		"test_a.py":   "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := request(t, "9.2.0", dir)
		_, err := cold.Run(context.Background(), r)
		if err == nil || !strings.Contains(err.Error(), "before all tests were collected") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCancel cancels a run in a test that never ends.
func TestCancel(t *testing.T) {
	for name, body := range map[string]string{
		"python":  "while True: pass",
		"blocked": "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); exec('while True: pass')",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source := "def test_a(): pass\ndef test_hang():\n    " + body + "\ndef test_b(): pass\n"
			if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			r, _ := request(t, "9.2.0", dir)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			res := &results{tests: map[string]*pytest.Result{}}
			status, err := cold.Run(ctx, r, res, onTest(cancel))
			if err != nil || status != 2 {
				t.Errorf("status %d, %v, want 2", status, err)
			}
			if got := res.outcomes(); got["test_a.py::test_a"] != "passed" || got["test_a.py::test_b"] != "" {
				t.Errorf("outcomes %v", got)
			}
		})
	}
}

// TestPlugins compares everything that is printed with plugins of every kind:
// hooks around the whole test or a phase, tests that are run again, coroutines,
// coverage, reports in files.
func TestPlugins(t *testing.T) {
	python := enginetest.Plugins(t)
	for _, o := range [][]string{
		{"-v"}, {"--cov=pkg"}, {"--html=out.html", "--json-report", "--report-log=out.log"}, {"--reruns=1"}, {"--junitxml=out.xml"},
	} {
		args := append([]string{"-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable"}, o...)
		want, wantStatus := plain(t, python, project(t, "plugins"), args...)
		dir := project(t, "plugins")
		r, out := requestOf(t, python, dir, args...)
		res, status := runTests(t, r)
		if status != wantStatus || len(res.order) != 10 {
			t.Errorf("%v: exit status %d and %d results, pytest has %d", o, status, len(res.order), wantStatus)
		}
		if diff := cmp.Diff(withoutFolders(want), withoutFolders(out.String())); diff != "" {
			t.Errorf("%v: pytest (-), here (+):\n%s", o, diff)
		}
	}
	// benchmarks are not measured side by side; coverage is the same all the same
	r, out := requestOf(t, python, project(t, "plugins"), "--cov=pkg", "-p", "no:randomly")
	r.Workers = 2
	res, _ := runTests(t, r)
	if res.started.Workers != 1 || res.started.Reason != "one worker: benchmarks are measured" {
		t.Errorf("coverage ran on %d workers (%s)", res.started.Workers, res.started.Reason)
	}
	if s := out.String(); !regexp.MustCompile(`_ coverage: platform .*_\n(.*\n)*TOTAL `).MatchString(s) {
		t.Errorf("no coverage in\n%s", s)
	}
}

// withoutFolders takes out what depends on the project's folder and threads.
func withoutFolders(text string) []string {
	text = normal(text)
	text = regexp.MustCompile(`(/tmp|/var)/\S*TestPlugins[^/]*/\d+`).ReplaceAllString(text, "FOLDER")
	text = regexp.MustCompile(`Stack of (\S+) \(.*?\) \(\d+\)`).ReplaceAllString(text, "Stack of $1")
	return strings.Split(text, "\n")
}

// TestThreads runs tests of a module that starts a thread when it is imported:
// a fork would not have it. A worker that dies is replaced by one that collects
// again.
func TestThreads(t *testing.T) {
	dir := t.TempDir()
	source := `
import os, threading
stop = threading.Event()
ticker = threading.Thread(target=stop.wait, daemon=True)
ticker.start()
def test_a(): assert ticker.is_alive()
def test_exit(): os._exit(3)
def test_b(): assert ticker.is_alive()
`
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"test_a.py::test_a": "passed", "test_a.py::test_exit": "error", "test_a.py::test_b": "passed"}
	for _, workers := range []int{1, 2} {
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		r.Workers = workers
		res, status := runTests(t, r)
		if diff := cmp.Diff(want, res.outcomes()); diff != "" || status != 1 {
			t.Errorf("status %d, want (-), got (+):\n%s", status, diff)
		}
		if res.started.Workers != workers || workers == 2 && !strings.HasPrefix(res.started.Reason, "each collects for itself: threads run") {
			t.Errorf("%d workers, reason %q", res.started.Workers, res.started.Reason)
		}
		if s := out.String(); !strings.Contains(s, "2 passed, 1 error") {
			t.Errorf("in\n%s", s)
		}
	}
}

// TestClosedDescriptors closes what a test should not: it fails, or its worker
// ends, and the next test runs. Plain pytest ends there without a word.
func TestClosedDescriptors(t *testing.T) {
	for _, v := range enginetest.Versions {
		for _, workers := range []int{1, 2} {
			dir := t.TempDir()
			source := "import os\ndef test_a(): pass\ndef test_close(): os.closerange(0, 200)\ndef test_after(): pass\n"
			if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			r, _ := request(t, v, dir)
			r.Workers = workers
			res, _ := runTests(t, r)
			got := res.outcomes()
			if got["test_a.py::test_a"] != "passed" || got["test_a.py::test_after"] != "passed" || len(res.order) != 3 {
				t.Errorf("%s, %d workers: %v", v, workers, got)
			}
			if c := res.tests["test_a.py::test_close"]; c == nil || !c.Outcome.Bad() {
				t.Errorf("%s, %d workers: test_close is %v", v, workers, c)
			}
		}
	}
}

// onTest calls a function at the first result.
type onTest func()

func (f onTest) Event(e run.Event) {
	if e.Test != nil {
		f()
	}
}
