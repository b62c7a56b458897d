package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// daemons are tests that leave processes behind: a program in a session of its
// own; one that has cut every tie by two forks, and closed what it had; a fork
// that goes on. Each writes its pid into a file once it is there.
const daemons = `
import os, subprocess, sys, time

def told(name):
    while not (os.path.exists(name) and open(name).read().endswith("\n")):
        time.sleep(0.001)

def test_session():
    subprocess.Popen(["sh", "-c", "echo $$ > session; exec sleep 1001"], start_new_session=True, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told("session")

def test_forked_twice():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 2000)
        os.chdir("/")
        os.execv("/bin/sh", ["sh", "-c", "echo $$ > %s/twice; exec sleep 1002" % DIR])
    os.waitpid(pid, 0)
    told("twice")

def test_forked():
    if os.fork() == 0:
        with open("forked", "w") as f:
            print(os.getpid(), file=f)
        while True:
            time.sleep(1)
    told("forked")

def test_ended():
    subprocess.Popen(["sleep", "1003"]).kill()

def test_after(): pass
`

// leftOf reads the pid that a process has written of itself, and reports
// whether that process runs.
func leftOf(t *testing.T, dir, name string) (pid int, runs bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		t.Fatal(err)
	}
	return pid, alive(pid)
}

// alive reports whether a process has not ended.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := b[strings.LastIndexByte(string(b), ')')+2]
	return state != 'Z' && state != 'X'
}

// TestLeftBehind names what tests leave running, and ends it.
func TestLeftBehind(t *testing.T) {
	warm := &engine.Engine{}
	defer warm.Close()
	for _, v := range []string{"9.2.0", "7.4.4"} {
		for _, workers := range []int{1, 2} {
			for name, e := range map[string]*engine.Engine{"cold": cold, "warm": warm} {
				t.Run(fmt.Sprintf("%s/%d/%s", v, workers, name), func(t *testing.T) {
					dir := files(t, map[string]string{"test_a.py": ""})
					if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(strings.ReplaceAll(daemons, "DIR", strconv.Quote(dir))), 0o600); err != nil {
						t.Fatal(err)
					}
					r, out := request(t, v, dir, "-p", "no:cacheprovider")
					r.Workers = workers
					res := &results{tests: map[string]*pytest.Result{}}
					status, err := e.Run(context.Background(), r, res)
					if err != nil || status != 0 || len(res.order) != 5 {
						t.Fatalf("status %d, %v, results of %v\n%s", status, err, res.order, out)
					}
					all := strings.Join(res.problems, "\n")
					for file, want := range map[string]string{
						"session": "sleep 1001 (pid %d), started by test_a.py::test_session",
						"twice":   "sleep 1002 (pid %d), started by test_a.py::test_forked_twice",
						"forked":  "a fork of the test's own process (pid %d)",
					} {
						pid, runs := leftOf(t, dir, file)
						if want = fmt.Sprintf(want, pid); !strings.Contains(all, "a test left a process behind, which was ended: "+want) {
							t.Errorf("%q is not said in\n%s", want, all)
						}
						if runs {
							t.Errorf("%s: process %d runs", file, pid)
						}
					}
					if len(res.problems) != 3 {
						t.Errorf("said:\n%s", all)
					}
				})
			}
		}
	}
}

// TestLeftByConftest ends what a conftest has started when pytest ends before
// a test runs.
func TestLeftByConftest(t *testing.T) {
	const start = `
import os, subprocess, time
subprocess.Popen(["sh", "-c", "echo $$ > left; exec sleep 1001"], start_new_session=True)
while not (os.path.exists("left") and open("left").read().endswith("\n")):
    time.sleep(0.001)
`
	for name, more := range map[string]string{"collected": "", "died": "os._exit(3)", "error": "raise ValueError"} {
		for _, e := range []*engine.Engine{cold, {}} {
			dir := files(t, map[string]string{"conftest.py": start + more, "test_a.py": "def test_a(): pass\n"})
			r, _ := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
			res := &results{tests: map[string]*pytest.Result{}}
			_, _ = e.Run(context.Background(), r, res)
			if e != nil {
				e.Close()
			}
			if pid, runs := leftOf(t, dir, "left"); runs {
				t.Errorf("%s: process %d runs", name, pid)
			}
			if name != "died" && len(res.problems) != 1 {
				t.Errorf("%s: said %q", name, res.problems)
			}
		}
	}
}

// TestMultiprocessing says nothing of processes that multiprocessing starts for
// itself, and that end with their users.
func TestMultiprocessing(t *testing.T) {
	dir := files(t, map[string]string{"test_a.py": `
import multiprocessing
import os
from multiprocessing import shared_memory

def work(n):
    return n + 1

def test_spawn():
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(work, [1, 2]) == [2, 3]

def test_memory():
    shared_memory.SharedMemory(create=True, size=10)
`})
	r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider", "-W", "ignore")
	r.Stderr = nil
	res, status := runTests(t, r)
	if status != 0 || len(res.problems) > 0 {
		t.Errorf("status %d, said %q\n%s", status, res.problems, out)
	}
}
