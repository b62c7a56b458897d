package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/plan"
)

// files writes a project.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const slowTests = `
import time, threading, pytest
def test_before(): pass
@pytest.fixture
def resource():
    yield
    print("torn down")
def test_slow(resource):
    try:
        time.sleep(60)
    except Exception:
        pass
@pytest.fixture
def slow_setup():
    time.sleep(60)
def test_slow_setup(slow_setup): pass
def test_thread():
    go = threading.Event()
    threading.Thread(target=go.wait, name="helper-thread").start()
    try:
        time.sleep(60)
    finally:
        go.set()
def test_between(): pass
def test_stubborn():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
def test_after(): pass
`

// TestTimeout ends tests that take too long by an exception, so that fixtures
// are torn down; one that does not end is killed with its process, and the
// others run.
func TestTimeout(t *testing.T) {
	for _, v := range enginetest.Versions {
		for _, workers := range []int{1, 2} {
			dir := files(t, map[string]string{"test_slow.py": slowTests})
			r, out := request(t, v, dir, "-p", "no:cacheprovider", "-o", "addopts=")
			r.Timeout, r.Workers = 300*time.Millisecond, workers
			res, status := runTests(t, r)
			want := map[string]string{
				"test_before": "passed", "test_slow": "failed", "test_slow_setup": "error", "test_thread": "failed", "test_between": "passed",
				"test_stubborn": "error", "test_after": "passed",
			}
			for name, o := range want {
				if got := res.outcomes()["test_slow.py::"+name]; got != o {
					t.Errorf("%s, %d workers: %s %s, want %s", v, workers, name, got, o)
				}
			}
			if status != 1 {
				t.Errorf("%s: exit status %d", v, status)
			}
			text := out.String()
			for _, s := range []string{
				"Failed: the test took more than 0.3s", "torn down", "thread helper-thread:", "go.wait",
				"the test took more than 300ms and did not end within 5s more", ">       time.sleep(60)",
			} {
				if !strings.Contains(text, s) {
					t.Errorf("%s, %d workers: %q is not printed in\n%s", v, workers, s, text)
				}
			}
			if strings.Contains(text, "_dxworker") || strings.Contains(text, "alarm.py:") && strings.Contains(text, "def ring") {
				t.Errorf("%s: our own frames are shown in\n%s", v, text)
			}
		}
	}
}

// TestRetried runs what failed again, in a process that has run nothing of it:
// what passes then is told as passed, and said to be flaky.
func TestRetried(t *testing.T) {
	dir := files(t, map[string]string{
		"test_a.py": `
import os
SEEN = []
def test_ok(): SEEN.append(1)
def test_flaky():
    if not os.path.exists("flag"):
        open("flag", "w").close()
        assert 0, "the first time"
def test_polluted(): assert not SEEN
def test_bad(): assert 0
def test_crash():
    if not os.path.exists("flag2"):
        open("flag2", "w").close()
        os._exit(3)
`})
	for _, workers := range []int{1, 2} {
		for _, name := range []string{"flag", "flag2"} {
			_ = os.Remove(filepath.Join(dir, name))
		}
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		r.Retries, r.Workers = 2, workers
		res, status := runTests(t, r)
		for id, want := range map[string]string{"test_ok": "passed 1 false", "test_flaky": "passed 2 true", "test_polluted": "passed 2 true", "test_bad": "failed 3 false", "test_crash": "passed 2 true"} {
			if workers > 1 && id == "test_polluted" {
				continue // the test that pollutes it may run elsewhere
			}
			x := res.tests["test_a.py::"+id]
			if got := fmt.Sprint(x.Outcome, x.Attempt, x.Flaky); got != want {
				t.Errorf("%d workers: %s %s, want %s", workers, id, got, want)
			}
		}
		text := out.String()
		if status != 1 || !strings.Contains(text, "1 failed, 4 passed") || strings.Contains(text, "the first time") {
			t.Errorf("%d workers: exit status %d, and\n%s", workers, status, text)
		}
		r, _ = request(t, "9.2.0", dir, "-p", "no:cacheprovider", "-k", "not bad")
		_ = os.Remove(filepath.Join(dir, "flag"))
		r.Retries, r.FlakyFail = 1, true
		if _, status := runTests(t, r); status != 1 {
			t.Errorf("a flaky test is no failure: exit status %d", status)
		}
	}
}

// TestShards runs each test in exactly one of the parts; pytest says what it
// left out.
func TestShards(t *testing.T) {
	texts := map[string]string{}
	for f := range 3 {
		texts[fmt.Sprintf("test_%d.py", f)] = "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_x(n): pass\n"
	}
	dir := files(t, texts)
	for _, workers := range []int{1, 2} {
		ran := map[string]int{}
		for k := 1; k <= 4; k++ {
			r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
			r.Shard, r.Workers = plan.Shard{I: k, N: 4}, workers
			res, status := runTests(t, r)
			if status != 0 || res.started.Tests != 15 || res.ended.NotRun != 0 {
				t.Errorf("shard %d: exit status %d, %d tests, %d not run", k, status, res.started.Tests, res.ended.NotRun)
			}
			for id := range res.tests {
				ran[id]++
			}
			if s := out.String(); !strings.Contains(s, "15 passed, 45 deselected") || !strings.Contains(s, "[100%]") {
				t.Errorf("shard %d with %d workers prints\n%s", k, workers, s)
			}
		}
		if len(ran) != 60 {
			t.Errorf("%d tests ran in the shards, want 60", len(ran))
		}
		for id, n := range ran {
			if n != 1 {
				t.Errorf("%s ran %d times", id, n)
			}
		}
	}
}

// TestEmptyShard is no failure.
func TestEmptyShard(t *testing.T) {
	dir := files(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	statuses := map[int]int{}
	for k := 1; k <= 3; k++ {
		r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		r.Shard = plan.Shard{I: k, N: 3}
		res, status := runTests(t, r)
		statuses[len(res.tests)] += status
	}
	if statuses[0] != 0 || statuses[1] != 0 {
		t.Errorf("exit statuses by number of tests: %v", statuses)
	}
}
