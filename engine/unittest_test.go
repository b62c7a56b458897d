package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// unittestPythons are the releases that unittest is compared on: before 3.11
// subtests are told at a test's end, before 3.12 no tests are exit status 0.
var unittestPythons = []string{"3.8", "3.11", "3.13"}

// bare calls f for interpreters without pytest.
func bare(t *testing.T, f func(t *testing.T, python string)) {
	for _, v := range unittestPythons {
		t.Run(v, func(t *testing.T) {
			python, ok := enginetest.BareWith(t, v)
			if !ok {
				t.Logf("this machine has no Python %s", v)
				return
			}
			f(t, python)
		})
	}
}

// unittests is a run in a folder without pytest, with its two outputs.
func unittests(t *testing.T, python, dir string, args ...string) (r engine.Request, out, err *output) {
	t.Helper()
	r, out = requestOf(t, python, dir, args...)
	err = newOutput(t)
	r.Stderr, r.Texts = err.w, false
	return r, out, err
}

// plainUnittest runs python -m unittest.
func plainUnittest(t *testing.T, python, dir string, args ...string) (out, text string, status int) {
	t.Helper()
	cmd := exec.Command(python, append([]string{"-m", "unittest"}, args...)...)
	cmd.Dir, cmd.Env = dir, environment()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), stderr.String(), cmd.ProcessState.ExitCode()
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnittestText compares what is printed, to both outputs, and the exit
// status with python -m unittest's, on one worker and on two.
func TestUnittestText(t *testing.T) {
	bare(t, func(t *testing.T, python string) {
		dir := project(t, "unittests")
		for _, c := range []struct{ plain, args []string }{
			{nil, nil},
			{[]string{"-v"}, []string{"-v"}},
			{[]string{"-q", "-b"}, []string{"-qb"}},
			{[]string{"-k", "First", "-k", "Kinds.test_*s"}, []string{"-k", "First", "-kKinds.test_*s"}},
			{[]string{"-k", "no test has this name", "test_kinds"}, []string{"-k", "no test has this name", "test_kinds.py"}},
			{[]string{"--locals", "test_kinds", "tests.test_async"}, []string{"--showlocals", "test_kinds.py", "tests/test_async.py"}},
			{[]string{"tests.test_fixtures.First.test_a", "tests.test_fixtures.Second"}, []string{"tests/test_fixtures.py::First::test_a", "tests/test_fixtures.py::Second"}},
			{[]string{"tests.test_kinds", "test_kinds.Plain"}, []string{"tests.test_kinds", "test_kinds.Plain"}},
			{[]string{"discover", "loose"}, []string{"loose"}},
			{[]string{"discover", "-s", "tests", "-t", ".", "-p", "*_load.py"}, []string{"-s", "tests", "-t", ".", "-p", "*_load.py"}},
		} {
			wantOut, wantText, wantStatus := plainUnittest(t, python, dir, c.plain...)
			for _, workers := range []int{1, 2} {
				r, out, text := unittests(t, python, dir, c.args...)
				r.Workers = workers
				res, status := runTests(t, r)
				if status != wantStatus {
					t.Errorf("%v, %d workers: exit status %d, unittest has %d", c.args, workers, status, wantStatus)
				}
				if diff := cmp.Diff(wantOut, out.String()); diff != "" {
					t.Errorf("%v, %d workers, stdout: unittest (-), here (+):\n%s", c.args, workers, diff)
				}
				if diff := cmp.Diff(strings.Split(normal(wantText), "\n"), strings.Split(normal(text.String()), "\n")); diff != "" {
					t.Errorf("%v, %d workers, stderr: unittest (-), here (+):\n%s", c.args, workers, diff)
				}
				if res.ended.NotRun != 0 || len(res.problems) != 0 {
					t.Errorf("%v, %d workers: %d not run, problems %v", c.args, workers, res.ended.NotRun, res.problems)
				}
			}
		}
		for _, x := range []string{"-x", "-f", "--maxfail=1"} {
			_, want, _ := plainUnittest(t, python, dir, "-f")
			r, _, text := unittests(t, python, dir, x)
			if res, _ := runTests(t, r); len(res.order) != 2 || res.ended.NotRun != 45 || res.ended.Ran != 2 {
				t.Errorf("%s: %v, %d not run, %d ran", x, res.order, res.ended.NotRun, res.ended.Ran)
			}
			if diff := cmp.Diff(normal(want), normal(text.String())); diff != "" {
				t.Errorf("%s: unittest -f (-), here (+):\n%s", x, diff)
			}
		}
	})
}

// unittestOutcomes is what becomes of each test of testdata/projects/unittests.
// An id that stands for several tests has the outcome of the last.
var unittestOutcomes = map[string]string{
	"test_kinds.py::Alias::runTest":                       "passed",
	"test_kinds.py::Cleanups::test_cleanup_fails":         "failed",
	"test_kinds.py::Cleanups::test_cleanups":              "passed",
	"test_kinds.py::Kinds::test_chained":                  "error",
	"test_kinds.py::Kinds::test_exits":                    "error",
	"test_kinds.py::Kinds::test_expected_failure":         "xfailed",
	"test_kinds.py::Kinds::test_fails":                    "failed",
	"test_kinds.py::Kinds::test_passes":                   "passed",
	"test_kinds.py::Kinds::test_raises":                   "error",
	"test_kinds.py::Kinds::test_skipped":                  "skipped",
	"test_kinds.py::Kinds::test_skips_itself":             "skipped",
	"test_kinds.py::Kinds::test_unexpected_success":       "failed", // as pytest has it
	"test_kinds.py::Plain::runTest":                       "passed",
	"test_kinds.py::SetUpFails::test_never":               "error",
	"test_kinds.py::SetUpSkips::test_never":               "skipped",
	"test_kinds.py::Shared::test_shared":                  "passed",
	"test_kinds.py::SkippedClass::test_one":               "skipped",
	"test_kinds.py::SkippedClass::test_two":               "skipped",
	"test_kinds.py::TearDownFails::test_passes":           "error",
	"test_kinds.py::TearDownFails::test_twice_wrong":      "failed",
	"tests/test_async.py::Async::test_fails":              "failed",
	"tests/test_async.py::Async::test_passes":             "passed",
	"tests/test_broken.py":                                "error",
	"tests/test_fixtures.py::First::test_a":               "passed",
	"tests/test_fixtures.py::First::test_b":               "passed",
	"tests/test_fixtures.py::Second::test_once":           "passed",
	"tests/test_fixtures.py::SetUpClassFails::test_a":     "error",
	"tests/test_fixtures.py::SetUpClassFails::test_b":     "error",
	"tests/test_fixtures.py::SetUpClassSkips::test_a":     "skipped",
	"tests/test_fixtures.py::TearDownClassFails::runTest": "error",
	"tests/test_load.py::Made::test_made":                 "failed",
	"tests/test_load.py::UsesA::test_there":               "passed",
	"tests/test_load.py::UsesB::test_there":               "passed",
	"tests/test_load.py::double_works":                    "passed",
	"tests/test_load.py::tests.test_load.double":          "passed",
	"tests/test_module_fails.py::One::test_a":             "error",
	"tests/test_module_fails.py::Two::test_b":             "error",
	"tests/test_output.py::Output::test_prints":           "passed",
	"tests/test_output.py::Output::test_prints_and_fails": "failed",
	"tests/test_output.py::Output::test_warns":            "passed",
	"tests/test_output.py::Shared::test_shared":           "passed",
	"tests/test_skipped_module.py":                        "skipped",
	"tests/test_subtests.py::Subtests::test_all_pass":     "passed",
	"tests/test_subtests.py::Subtests::test_kinds":        "failed",
	"tests/test_subtests.py::Subtests::test_numbers":      "failed",
}

// TestUnittestEvents holds the events to the expected outcomes, with what each
// test wrote, on one worker and on two.
func TestUnittestEvents(t *testing.T) {
	bare(t, func(t *testing.T, python string) {
		dir := project(t, "unittests")
		for _, workers := range []int{1, 2} {
			r, _, _ := unittests(t, python, dir)
			r.Workers, r.Texts, r.Stdout, r.Stderr = workers, true, nil, nil
			res, status := runTests(t, r)
			if diff := cmp.Diff(unittestOutcomes, res.outcomes()); diff != "" || status != 1 {
				t.Errorf("%d workers: exit status %d; expected (-), here (+):\n%s", workers, status, diff)
			}
			prints := res.tests["tests/test_output.py::Output::test_prints"]
			if want := []pytest.Section{{Title: "Captured stdout call", Text: "to stdout\n"}, {Title: "Captured stderr call", Text: "to stderr\n"}}; !slices.Equal(prints.Sections, want) {
				t.Errorf("%d workers: sections %v", workers, prints.Sections)
			}
			fails := res.tests["test_kinds.py::Kinds::test_fails"]
			if fails.FailLine != 16 || fails.Line != 14 || !strings.HasPrefix(fails.Message, "AssertionError: {'a': [1, 2]} != ") || !strings.HasPrefix(fails.Text, "Traceback ") {
				t.Errorf("%d workers: %+v", workers, fails)
			}
			if r := res.tests["tests/test_fixtures.py::SetUpClassFails::test_b"]; r.Phase != pytest.Setup || r.Message != "ValueError: setUpClass fails" {
				t.Errorf("%d workers: %+v", workers, r)
			}
			if r := res.tests["tests/test_fixtures.py::TearDownClassFails::runTest"]; r.Phase != pytest.Teardown {
				t.Errorf("%d workers: %+v", workers, r)
			}
			numbers := res.tests["tests/test_subtests.py::Subtests::test_numbers"].Subtests
			if len(numbers) != 4 || numbers[2].Outcome != pytest.Failed || numbers[2].Message != "number" || numbers[2].Kwargs["n"] != "2" || numbers[3].Outcome != pytest.Passed {
				t.Errorf("%d workers: %+v", workers, numbers)
			}
		}
	})
}

// TestUnittestDiscovered compares the static listing with what unittest's
// loader finds: ids, lines and order.
func TestUnittestDiscovered(t *testing.T) {
	python := enginetest.Bare(t)
	dir := project(t, "unittests")
	for _, args := range [][]string{nil, {"tests"}, {"loose", "tests/test_fixtures.py::Second"}, {"-k", "*.test_a"}} {
		ws := workspace.New(workspace.Settings{Dir: dir, Args: args, Python: python, Env: map[string]string{}})
		defer ws.Close()
		suite, err := ws.Apply(workspace.Update{}).Suite()
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, it := range suite.Items {
			if it.Exact() {
				got = append(got, fmt.Sprintf("%s %d", it.ID, it.Line))
			}
		}
		r, _, _ := unittests(t, python, dir, args...)
		res, _ := runTests(t, r)
		for _, id := range res.order {
			// load_tests and imports that fail decide when they run
			if strings.Contains(id, "::") && !strings.HasPrefix(id, "tests/test_load.py") {
				want = append(want, fmt.Sprintf("%s %d", id, res.tests[id].Line))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%v: unittest (-), listed (+):\n%s", args, diff)
		}
	}
}

const crashing = `
import os, signal, unittest

class Crash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.there = True

    def test_a(self):
        pass

    def test_b(self):
        print("last words", flush=True)
        os._exit(3)

    def test_c(self):
        self.assertTrue(self.there)

    def test_d(self):
        os.kill(os.getpid(), signal.SIGKILL)

class InSetUpClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os._exit(4)

    def test_a(self):
        pass

class Other(unittest.TestCase):
    def test_a(self):
        self.fail()

class TearDown(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        os._exit(0)

    def test_a(self):
        pass
`

// TestUnittestCrash ends the process in tests and fixtures: each is that
// test's error, and the rest runs.
func TestUnittestCrash(t *testing.T) {
	want := map[string]string{
		"test_crash.py::Crash::test_a": "passed", "test_crash.py::Crash::test_b": "error", "test_crash.py::Crash::test_c": "passed",
		"test_crash.py::Crash::test_d": "error", "test_crash.py::InSetUpClass::test_a": "error", "test_crash.py::Other::test_a": "failed",
		"test_crash.py::TearDown::test_a": "error",
	}
	bare(t, func(t *testing.T, python string) {
		dir := t.TempDir()
		writeFile(t, dir, "test_crash.py", crashing)
		for _, workers := range []int{1, 2} {
			r, out, text := unittests(t, python, dir)
			r.Workers = workers
			res, status := runTests(t, r)
			if diff := cmp.Diff(want, res.outcomes()); diff != "" || status != 1 {
				t.Errorf("%d workers: exit status %d; expected (-), here (+):\n%s", workers, status, diff)
			}
			s := text.String()
			for _, part := range []string{"\nRan 7 tests in ", "\nFAILED (failures=1, errors=4)\n", "\nthe worker process ended with exit status 3\n", "\nthe worker process was ended by SIGKILL\n"} {
				if strings.Count(s, part) != 1 {
					t.Errorf("%d workers: no %q in\n%s", workers, part, s)
				}
			}
			if line, _, _ := strings.Cut(s, "\n"); line != map[int]string{1: ".E.EEF.E", 2: ".E.EEFE"}[workers] {
				t.Errorf("%d workers: %s", workers, line)
			}
			if out.String() != "last words\n" {
				t.Errorf("%d workers: %q", workers, out.String())
			}
		}
	})
}

// TestUnittestLiving runs in an engine that lives: an edit is seen, and a run
// is cancelled.
func TestUnittestLiving(t *testing.T) {
	python := enginetest.Bare(t)
	dir := t.TempDir()
	var e engine.Engine
	defer e.Close()
	for _, want := range []string{"passed", "failed", "passed"} {
		assert := map[string]string{"passed": "1", "failed": "22"}[want] // of another size: Python believes its .pyc else
		writeFile(t, dir, "test_a.py", "import unittest\nclass A(unittest.TestCase):\n    def test(self):\n        self.assertEqual(1, "+assert+")\n")
		r, _, text := unittests(t, python, dir, filepath.Join(dir, "test_a.py")+"::A::test")
		res := &results{tests: map[string]*pytest.Result{}}
		if _, err := e.Run(context.Background(), r, res); err != nil {
			t.Fatal(err)
		}
		if got := res.outcomes(); got["test_a.py::A::test"] != want || len(got) != 1 {
			t.Errorf("%v, want %s", got, want)
		}
		text.w.Close()
	}
	writeFile(t, dir, "test_b.py", "import unittest, time\nclass B(unittest.TestCase):\n    def test_1(self):\n        pass\n    def test_2(self):\n        time.sleep(60)\n    def test_3(self):\n        pass\n")
	for _, workers := range []int{1, 2} {
		r, _, _ := unittests(t, python, dir, "test_b.py")
		r.Workers = workers
		res := &results{tests: map[string]*pytest.Result{}}
		ctx, cancel := context.WithCancelCause(context.Background())
		stop := onTest(func() { cancel(run.Interrupted) }) // the next has begun
		began := time.Now()
		status, err := e.Run(ctx, r, res, stop)
		if status == 0 || err != nil || time.Since(began) > 20*time.Second {
			t.Errorf("%d workers: exit status %d, %v, %v", workers, status, err, time.Since(began))
		}
		// test_2 has no result, or where it had to be killed an error
		if got := res.outcomes(); got["test_b.py::B::test_1"] != "passed" || got["test_b.py::B::test_3"] != "" || res.ended.NotRun == 0 {
			t.Errorf("%d workers: %v, %d not run", workers, got, res.ended.NotRun)
		}
	}
}

// TestUnittestNotStarted has a suite that leaves tests out, behind a class that
// fails: what did not run is not said to have passed, nor to have failed.
func TestUnittestNotStarted(t *testing.T) {
	python := enginetest.Bare(t)
	dir := t.TempDir()
	writeFile(t, dir, "test_lazy.py", `
import unittest

class Lazy(unittest.TestSuite):
    def run(self, result, debug=False):
        for test in list(self)[1:]:
            test(result)
        return result

class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise ValueError

    def test_a(self):
        pass

class A(unittest.TestCase):
    def test_a(self):
        pass

    def test_b(self):
        pass

def load_tests(loader, tests, pattern):
    return unittest.TestSuite([loader.loadTestsFromTestCase(Broken), Lazy(loader.loadTestsFromTestCase(A))])
`)
	for _, workers := range []int{1, 2} {
		r, _, _ := unittests(t, python, dir)
		r.Workers = workers
		res, status := runTests(t, r)
		want := map[string]string{"test_lazy.py::Broken::test_a": "error", "test_lazy.py::A::test_a": "skipped", "test_lazy.py::A::test_b": "passed"}
		if diff := cmp.Diff(want, res.outcomes()); diff != "" || status != 1 {
			t.Errorf("%d workers: exit status %d; expected (-), here (+):\n%s", workers, status, diff)
		}
	}
}

// TestUnittestSuiteRaises has a suite that lets an exception out: with several
// workers it is the last test's error, and the others run.
func TestUnittestSuiteRaises(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "test_raise.py", `
import unittest

class Bad(unittest.TestSuite):
    def run(self, result, debug=False):
        super().run(result)
        raise OSError("the database is gone")

class A(unittest.TestCase):
    def test_a(self):
        pass

class Z(unittest.TestCase):
    def test_a(self):
        pass

def load_tests(loader, tests, pattern):
    return unittest.TestSuite([Bad(loader.loadTestsFromTestCase(A)), loader.loadTestsFromTestCase(Z)])
`)
	r, _, text := unittests(t, enginetest.Bare(t), dir)
	r.Workers = 2
	res, status := runTests(t, r)
	want := map[string]string{"test_raise.py::A::test_a": "error", "test_raise.py::Z::test_a": "passed"}
	if diff := cmp.Diff(want, res.outcomes()); diff != "" || status != 1 || !strings.Contains(text.String(), "OSError: the database is gone") {
		t.Errorf("exit status %d; expected (-), here (+):\n%s\n%s", status, diff, text)
	}
}

// TestUnittestThreads runs where a module has started a thread when it was
// imported: no fork, so the process itself runs the tests.
func TestUnittestThreads(t *testing.T) {
	python := enginetest.Bare(t)
	dir := t.TempDir()
	writeFile(t, dir, "test_t.py", `
import os, threading, unittest
threading.Thread(target=threading.Event().wait, daemon=True).start()

class T(unittest.TestCase):
    def test_a(self):
        self.assertEqual(threading.active_count(), 2)

    def test_b(self):
        os._exit(1)

    def test_c(self):
        pass
`)
	for _, workers := range []int{1, 2} {
		r, _, text := unittests(t, python, dir)
		r.Workers = workers
		res, status := runTests(t, r)
		want := map[string]string{"test_t.py::T::test_a": "passed", "test_t.py::T::test_b": "error", "test_t.py::T::test_c": "passed"}
		if diff := cmp.Diff(want, res.outcomes()); diff != "" || status != 1 {
			t.Errorf("exit status %d; expected (-), here (+):\n%s\n%s", status, diff, text)
		}
	}
}

// TestUnittestSameSecondEdit edits a test within a second without changing its
// size, which Python's own check of compiled modules misses.
func TestUnittestSameSecondEdit(t *testing.T) {
	bare(t, func(t *testing.T, python string) {
		const test = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(1, %d)\n"
		dir := files(t, map[string]string{"test_u.py": fmt.Sprintf(test, 1)})
		r, _, _ := unittests(t, python, dir)
		r.Stdout, r.Stderr = nil, nil
		path := filepath.Join(dir, "test_u.py")
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"passed", "failed", "passed"} {
			writeFile(t, dir, "test_u.py", fmt.Sprintf(test, i%2+1))
			if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
				t.Fatal(err)
			}
			if res, _ := runTests(t, r); res.outcomes()["test_u.py::T::test_one"] != want {
				t.Errorf("edit %d: %v, expected %s", i, res.outcomes(), want)
			}
		}
	})
}
