package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var times = regexp.MustCompile(`in \d+\.\d\ds`)

// TestResident runs the same command three times in the resident process, and
// once without: the first starts it, all print the same.
func TestResident(t *testing.T) {
	h := newHome(t, map[string]string{
		"test_a.py": "def test_a(): pass\ndef test_b():\n    print('hello')\n    assert 1 == 2\n",
	})
	cold := h.run("test", "--no-daemon")
	h.want(cold, 1, "1 failed, 1 passed")
	if h.pid() != 0 {
		t.Fatal("--no-daemon started one")
	}
	for i := range 3 {
		r := h.run("test")
		if diff := cmp.Diff(times.ReplaceAllString(cold.out, ""), times.ReplaceAllString(r.out, "")); diff != "" || r.status != 1 {
			t.Errorf("run %d: status %d; cold (-), resident (+)\n%s", i, r.status, diff)
		}
		if strings.Contains(r.stderr, startedLine) != (i == 0) {
			t.Errorf("run %d printed %q", i, r.stderr)
		}
	}
	pid := h.pid()
	h.want(h.run("pytest", "-q", "test_a.py::test_a"), 0, "1 passed")
	h.want(h.run("test", "-q", "-k", "nothing"), 5, "2 deselected")
	if r := h.run("test", "--no-such-option"); r.status != 4 || !strings.Contains(r.stderr, "unrecognized arguments: --no-such-option") || r.out != "" {
		t.Errorf("a usage error: %+v", r)
	}
	if r := h.run("test", "--python"); r.status != 4 || !strings.Contains(r.stderr, "--python needs an argument") {
		t.Errorf("a usage error of ours: %+v", r)
	}
	if h.pid() != pid || pid == 0 {
		t.Errorf("process %d, then %d", pid, h.pid())
	}
	h.want(h.run("daemon", "stop"), 0, "")
	h.nothingLeft()
	if left, _ := filepath.Glob(filepath.Join(h.runtime, "*")); len(left) != 1 || filepath.Base(left[0]) != "lock" {
		t.Errorf("left in the folder: %v", left)
	}
	h.want(h.run("daemon", "stop"), 0, "none runs")
	h.want(h.run("daemon"), 1, "none runs")
	h.want(h.run("daemon", "start"), 0, "")
	h.want(h.run("daemon", "start"), 0, "it runs already")
}

// TestSurroundings has tests tell what they inherit: it is always the
// caller's.
func TestSurroundings(t *testing.T) {
	h := newHome(t, map[string]string{
		"conftest.py": "import os\nNUMBER = os.urandom(8).hex()\n",
		"test_a.py": `
import os, resource, sys
import conftest
def test_a():
    umask = os.umask(0)
    os.umask(umask)
    print("dir", os.getcwd(), "umask", oct(umask), "files", resource.getrlimit(resource.RLIMIT_NOFILE)[0], "mine", os.environ.get("MINE"),
          "level", os.environ.get("SHLVL"), "ssh", os.environ.get("SSH_TTY"), "number", conftest.NUMBER)
    assert 0
`,
		"sub/file": "",
	})
	tell := func(r ran) map[string]string {
		t.Helper()
		h.want(r, 1, "1 failed")
		for line := range strings.Lines(r.out) {
			if w := strings.Fields(line); len(w) == 14 && w[0] == "dir" {
				m := map[string]string{}
				for i := 0; i < len(w); i += 2 {
					m[w[i]] = w[i+1]
				}
				return m
			}
		}
		t.Fatalf("nothing told in\n%s\n%s", r.out, r.stderr)
		return nil
	}
	shell := func(script string) ran {
		cmd := h.command()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script + `; exec "$0" test`, h.program}
		return h.wait(cmd)
	}
	tell(h.run("test")) // the files are as young as this session
	first := tell(h.run("test"))
	if first["mine"] != "None" || first["level"] != "None" || first["dir"] != h.dir {
		t.Errorf("%v", first)
	}
	if again := tell(h.run("SHLVL=7", "SSH_TTY=here", "test")); again["level"] != "7" || again["ssh"] != "here" || again["number"] != first["number"] {
		t.Errorf("of another shell, in the same session: %v, then %v", first, again)
	}
	if again := tell(h.run("test")); again["level"] != "None" || again["ssh"] != "None" {
		t.Errorf("of the first shell again: %v", again)
	}
	if other := tell(h.run("MINE=1", "test")); other["mine"] != "1" || other["number"] == first["number"] {
		t.Errorf("another environment: %v", other)
	}
	if back := tell(h.run("test")); back["mine"] != "None" || back["number"] != first["number"] {
		t.Errorf("back in the first environment, whose session is kept: %v, %v", first, back)
	}
	sub := h.command("test", "..")
	sub.Dir = filepath.Join(h.dir, "sub")
	if r := tell(h.wait(sub)); r["dir"] != sub.Dir {
		t.Errorf("another folder: %v", r)
	}
	if r := tell(shell("umask 027")); r["umask"] != "0o27" {
		t.Errorf("another umask: %v", r)
	}
	if r := tell(shell("ulimit -Sn 123")); r["files"] != "123" {
		t.Errorf("another limit: %v", r)
	}
	if r := shell("ulimit -Sn 123"); !strings.Contains(r.stderr, "another nofile; this run is cold") {
		t.Errorf("it said %q", r.stderr)
	}
	if r := tell(shell("true")); r["files"] != first["files"] || r["umask"] != first["umask"] {
		t.Errorf("of a shell: %v, %v", first, r)
	}
}

// TestTwoAtOnce has tests of two clients wait for each other, with the same
// command line and with different ones.
func TestTwoAtOnce(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": `
import os, time
def test_meet():
    open("here-%d" % os.getpid(), "w").close()
    began = time.monotonic()
    while len([n for n in os.listdir() if n.startswith("here-")]) < 2:
        assert time.monotonic() - began < 30, "nobody came"
        time.sleep(0.001)
def test_b(): pass
`})
	for round := range 4 {
		done := make(chan ran)
		for _, args := range [][]string{{"test", "-q"}, {"test", "-q", "-k", "meet or b"}} {
			if round%2 == 0 {
				args = []string{"test", "-q"}
			}
			go func() { done <- h.run(args...) }()
		}
		for range 2 {
			h.want(<-done, 0, "2 passed")
		}
		if met, _ := filepath.Glob(filepath.Join(h.dir, "here-*")); len(met) != 2 {
			t.Fatalf("%v", met)
		} else {
			os.Remove(met[0])
			os.Remove(met[1])
		}
	}
}

// hanging tells, through a fifo that it keeps open, that it runs.
const hanging = `
import os, signal
def test_hang():
    if os.environ.get("STUBBORN"):
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    fifo = open(os.environ["FIFO"], "w")
    print(os.getpid(), file=fifo, flush=True)
    while True:
        pass
if os.environ.get("AT_ONCE"):
    test_hang()
`

// hang starts a client whose test hangs, and returns when it does; gone waits
// until nobody runs it any more.
func (h *home) hang(args ...string) (cmd *exec.Cmd, gone func()) {
	h.t.Helper()
	fifo := filepath.Join(h.t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		h.t.Fatal(err)
	}
	cmd = h.command(append([]string{"FIFO=" + fifo}, args...)...)
	cmd.Stdout, cmd.Stderr = &strings.Builder{}, &strings.Builder{}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	f, err := os.Open(fifo)
	if err != nil {
		h.t.Fatal(err)
	}
	in := bufio.NewReader(f)
	if _, err := in.ReadString('\n'); err != nil {
		h.t.Fatal(err)
	}
	return cmd, func() {
		_, _ = io.Copy(io.Discard, in)
		f.Close()
	}
}

// TestClientKilled kills a client: its run ends, the resident process stays.
func TestClientKilled(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": hanging, "test_b.py": "def test_b(): pass\n"})
	h.want(h.run("test", "-q", "test_b.py"), 0, "1 passed")
	pid := h.pid()
	for _, stubborn := range []string{"", "1"} {
		cmd, gone := h.hang("STUBBORN="+stubborn, "test", "test_a.py")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		gone()
		h.want(h.run("test", "-q", "test_b.py"), 0, "1 passed")
	}
	if now := h.pid(); now != pid {
		t.Errorf("process %d, then %d", pid, now)
	}
}

// TestInterrupt interrupts a client as Ctrl-C does, and one whose test does
// not listen twice.
func TestInterrupt(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": hanging})
	// Who starts it may ignore interrupts, as a script does for what it puts in
	// the background.
	start := h.command()
	start.Path, start.Args = "/bin/sh", []string{"sh", "-c", `trap '' INT HUP; exec "$0" daemon start`, h.program}
	if r := h.wait(start); r.status != 0 || !strings.Contains(r.stderr, startedLine) {
		t.Fatalf("%+v", r)
	}
	cmd, gone := h.hang("test")
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	gone()
	out := fmt.Sprint(cmd.Stdout)
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(out, "KeyboardInterrupt") || !strings.Contains(out, "no tests ran in") {
		t.Errorf("exit status %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
	for _, flag := range []string{"--daemon", "--no-daemon"} {
		cmd, gone = h.hang("AT_ONCE=1", "test", flag)
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		gone()
		if got := fmt.Sprint(cmd.Stderr); cmd.ProcessState.ExitCode() != 2 || got != "interrupted while the tests were collected\n" {
			t.Errorf("%s: exit status %d, %q", flag, cmd.ProcessState.ExitCode(), got)
		}
	}
	cmd, gone = h.hang("STUBBORN=1", "test")
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	gone()
	if got := cmd.ProcessState.ExitCode(); got != 2 {
		t.Errorf("exit status %d\n%s%s", got, cmd.Stdout, cmd.Stderr)
	}
}

// TestResidentKilled kills the resident process at random moments: in the
// middle of a run the client says so, before and after it the next command
// works; nothing is left of it.
func TestResidentKilled(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "import time\ndef test_a(): time.sleep(0.05)\n", "test_hang.py": hanging})
	rounds, rnd := soak(t, 20, 5)
	for round := range rounds {
		first := h.run("test", "-q", "test_a.py")
		h.want(first, 0, "1 passed")
		pid := h.pid()
		if pid == 0 { // it met the one that was just being killed
			h.want(h.run("test", "-q", "test_a.py"), 0, "1 passed")
			if pid = h.pid(); pid == 0 {
				t.Fatalf("round %d: none runs\n%s", round, first.stderr)
			}
		}
		if round%5 == 0 {
			cmd, gone := h.hang("test", "test_hang.py")
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_ = cmd.Wait()
			gone()
			if got := fmt.Sprint(cmd.Stderr); cmd.ProcessState.ExitCode() != 3 || !strings.Contains(got, "ended in the middle of the run; run it again") {
				t.Fatalf("exit status %d, %q", cmd.ProcessState.ExitCode(), got)
			}
		} else {
			timer := time.AfterFunc(time.Duration(rnd.IntN(80))*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			r := h.run("test", "-q", "test_a.py")
			if !timer.Stop() && r.status == 3 && strings.Contains(r.stderr, "ended in the middle of the run") {
				// the one that was told
			} else {
				h.want(r, 0, "1 passed")
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	// All of the killed ones' are gone but for what the last command started.
	h.run("daemon", "stop")
	h.nothingLeft()
}

// TestNewerProgram replaces the program's file: the resident process is
// replaced too, and is not by an older one, nor when the file stays what it was.
func TestNewerProgram(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	text, err := os.ReadFile(h.program)
	if err != nil {
		t.Fatal(err)
	}
	old := h.program
	h.want(h.run("test", "-q"), 0, "1 passed")
	before := h.pid()
	h.program = filepath.Join(t.TempDir(), "dx-py")
	if err := os.WriteFile(h.program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	r := h.run("test", "-q")
	h.want(r, 0, "1 passed")
	if after := h.pid(); after == before || after == 0 || !strings.Contains(r.stderr, startedLine) {
		t.Errorf("process %d, then %d: %s", before, after, r.stderr)
	}
	newer := h.pid()
	if err := os.Chmod(h.program, 0o700); err != nil {
		t.Fatal(err)
	}
	h.want(h.run("test", "-q"), 0, "1 passed")
	if now := h.pid(); now != newer {
		t.Errorf("process %d, then, with another mode of its file, %d", newer, now)
	}
	h.program = old
	r = h.run("test", "-q")
	h.want(r, 0, "1 passed")
	if now := h.pid(); now != newer || !strings.Contains(r.stderr, "is of a newer program; this run is cold") {
		t.Errorf("process %d, then %d: %s", newer, now, r.stderr)
	}
}

// TestNoResident runs where there must not be one.
func TestNoResident(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	for _, args := range [][]string{{"CI=true", "test"}, {"DX_PY_NO_DAEMON=1", "test", "--daemon"}, {"test", "--cold"}, {"test", "--no-daemon"}, {"test", "-s"}, {"CI=1", "pytest"}} {
		r := h.run(args...)
		if h.want(r, 0, "1 passed"); r.stderr != "" || h.pid() != 0 {
			t.Errorf("%v: %s", args, r.stderr)
		}
	}
	if err := os.MkdirAll(h.runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.runtime, 0o750); err != nil {
		t.Fatal(err)
	}
	r := h.run("test")
	if h.want(r, 0, "1 passed"); !strings.Contains(r.stderr, "is open to others (mode 0750); chmod 700 it") || len(h.processes()) > 0 {
		t.Errorf("%s", r.stderr)
	}
	if err := os.Chmod(h.runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	r = h.run("CI=true", "test", "--daemon")
	if h.want(r, 0, "1 passed"); !strings.Contains(r.stderr, startedLine) || h.pid() == 0 {
		t.Errorf("with --daemon: %s", r.stderr)
	}
	// A project that does not want it, where it runs and where it does not.
	h.write("pyproject.toml", "[tool.dx-py]\ndaemon = false\n")
	h.write("test_a.py", "import os\ndef test_a(): print('session', os.getsid(0), 'it is'); assert 0\n")
	own, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	here := fmt.Sprintf("session %d it is\n", own)
	for _, args := range [][]string{{"test", "-q"}, {"pytest", "-q"}} {
		for range 2 {
			r := h.run(args...)
			if h.want(r, 1, here); r.stderr != "" {
				t.Errorf("%v: %s", args, r.stderr)
			}
			h.run("daemon", "stop") // for the second time
		}
	}
	if r := h.run("test", "--daemon"); !strings.Contains(r.stderr, startedLine) || strings.Contains(r.out, here) {
		t.Errorf("with --daemon: %s%s", r.stderr, r.out)
	}
	h.write("pyproject.toml", "")
	// -s in a configuration is found in the resident process, which declines.
	h.write("pytest.ini", "[pytest]\naddopts = -s\n")
	if r := h.run("test", "-q"); !strings.Contains(r.out, here) || r.stderr != "" {
		t.Errorf("with -s in addopts: %s%s", r.stderr, r.out)
	}
}

// TestEdits changes one thing each between runs.
func TestEdits(t *testing.T) {
	h := newHome(t, map[string]string{
		"conftest.py": "import pytest\n@pytest.fixture\ndef one(): return 1\n",
		"pkg.py":      "def f(): return 1\n",
		"data.txt":    "1\n",
		"test_a.py": `
import pkg
DATA = open("data.txt").read().strip()
def test_data(): assert DATA == "1"
def test_f(): assert pkg.f() == 1
def test_one(one): assert one == 1
`,
	})
	for _, edit := range []struct{ name, a, b, failed string }{
		{"pkg.py", "return 1", "return 2", "test_f"},
		{"conftest.py", "return 1", "return 2", "test_one"},
		{"data.txt", "1", "2", "test_data"},
		{"test_a.py", "def test_one(one): assert one == 1", "def test_two(one): assert one == 2", "test_two"},
	} {
		text, err := os.ReadFile(filepath.Join(h.dir, edit.name))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			h.want(h.run("test", "-q"), 0, "3 passed")
		}
		h.write(edit.name, strings.Replace(string(text), edit.a, edit.b, 1))
		h.want(h.run("test", "-q"), 1, "FAILED test_a.py::"+edit.failed)
		h.write(edit.name, string(text))
		h.want(h.run("test", "-q"), 0, "3 passed")
	}
}
