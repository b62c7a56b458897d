package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/history"
)

// console is a program in front of a person, or of a pipe.
type console struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	keys *os.File // nil without a terminal

	mu   sync.Mutex
	more *sync.Cond
	text bytes.Buffer // all that was shown
	from int          // what expect has not looked at
	over bool
}

const patience = 60 * time.Second // for one thing to be shown, on a busy machine

// watch starts `test --watch` in a project, in a terminal or not.
func watch(t *testing.T, terminal bool, files map[string]string, args ...string) *console {
	t.Helper()
	return watchWith(t, terminal, files, append([]string{"--python", enginetest.Python(t, "9.2.0"), "-p", "no:cacheprovider"}, args...)...)
}

func watchWith(t *testing.T, terminal bool, files map[string]string, args ...string) *console {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, dir: dir}
	c.more = sync.NewCond(&c.mu)
	for name, text := range files {
		c.write(name, text)
	}
	c.cmd = exec.Command("dx-py", append([]string{"test", "--watch"}, args...)...)
	c.cmd.Dir = dir
	c.cmd.Env = append(os.Environ(), "DX_PY_STATE_DIR="+t.TempDir(), "TERM=xterm", "NO_COLOR=1", "OUTSIDE="+t.TempDir())
	var out io.ReadCloser
	if terminal {
		if c.keys, err = pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 40, Cols: 100}); err != nil {
			t.Fatal(err)
		}
		out = c.keys
	} else {
		if out, err = c.cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		c.cmd.Stderr = c.cmd.Stdout
		if err := c.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var buf [4096]byte
		for {
			n, err := out.Read(buf[:])
			c.mu.Lock()
			c.text.Write(buf[:n])
			c.over = err != nil
			c.more.Broadcast()
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
		out.Close()
		<-read
		if t.Failed() {
			t.Logf("shown:\n%s", strings.ReplaceAll(c.text.String(), "\x1b[2J\x1b[H", "\n=== cleared ===\n"))
		}
	})
	return c
}

func (c *console) write(name, text string) {
	c.t.Helper()
	p := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) press(keys string) {
	c.t.Helper()
	if _, err := c.keys.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// expect waits until these are shown, one behind the other, and returns what
// was on the way.
func (c *console) expect(texts ...string) string {
	c.t.Helper()
	late := time.AfterFunc(patience, func() {
		c.mu.Lock()
		c.over = true
		c.more.Broadcast()
		c.mu.Unlock()
	})
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	began := c.from
	for _, want := range texts {
		for {
			if i := bytes.Index(c.text.Bytes()[c.from:], []byte(want)); i >= 0 {
				c.from += i + len(want)
				break
			}
			if c.over {
				c.t.Fatalf("%q is not shown, behind\n%s", want, c.text.Bytes()[c.from:])
			}
			c.more.Wait()
		}
	}
	return string(c.text.Bytes()[began:c.from])
}

// ends waits for the program's end.
func (c *console) ends(status int) {
	c.t.Helper()
	_ = c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != status {
		c.t.Errorf("exit status %d, want %d", got, status)
	}
}

// cooked reports whether the terminal echoes and gives lines, as a shell
// wants it.
func (c *console) cooked() bool {
	c.t.Helper()
	state, err := unix.IoctlGetTermios(int(c.keys.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	const flags = unix.ICANON | unix.ECHO | unix.ISIG
	return state.Lflag&flags == flags
}

const help = " · p pattern · Enter again · q quit"

var cart = map[string]string{
	"pytest.ini":         "[pytest]\npythonpath = .\n",
	"cart.py":            "def total(xs):\n    return sum(xs)\n",
	"tests/test_cart.py": "from cart import total\ndef test_total():\n    assert total([1, 2]) == 3\n",
	"tests/test_b.py":    "def test_b1():\n    pass\ndef test_b2():\n    pass\n",
}

func TestWatch(t *testing.T) {
	c := watch(t, true, cart)
	c.expect("run 1 · first run · all tests", "3 passed in ", "\r\n3 passed in ", "waiting for changes in "+c.dir, "a all · f failed"+help)
	if c.cooked() {
		t.Error("keys are not read one by one")
	}
	// a file of tests
	c.write("tests/test_b.py", "def test_b1():\n    pass\ndef test_b2():\n    assert 0\n")
	c.expect("\x1b[2J", "run 2 · tests/test_b.py changed · tests/test_b.py", "1 failed, 1 passed", "f failed (1)"+help)
	// another: what failed comes first
	c.write("tests/test_new.py", "def test_new():\n    pass\n")
	c.expect("run 3 · tests/test_new.py changed · tests/test_b.py::test_b2, tests/test_new.py", "1 failed, 1 passed", help)
	// what is tested: all, saved as editors do
	c.write(".cart.tmp", "def total(xs):\n    return 7\n")
	if err := os.Rename(filepath.Join(c.dir, ".cart.tmp"), filepath.Join(c.dir, "cart.py")); err != nil {
		t.Fatal(err)
	}
	c.expect("run 4 · ", "what is due", "2 failed", "2 run · 2 unchanged", "f failed (2)"+help)
	// keys
	c.press("f")
	c.expect("run 5 · failed tests", "tests/test_cart.py::test_total", "2 failed in", help)
	c.press("p")
	c.expect("-k ")
	c.press("newx\x7f\r")
	c.expect("run 6 · pattern · all tests -k new", "1 passed, 3 deselected", "p pattern (new)")
	c.press("\r")
	c.expect("run 7 · again · all tests -k new", "1 passed, 3 deselected", help[len(" · p pattern"):])
	c.press("a")
	c.expect("run 8 · all · all tests", "2 failed, 2 passed", help)
	// mended, one by one
	c.write("cart.py", cart["cart.py"])
	c.expect("run 9 · cart.py changed · what is due", "1 failed", help)
	c.write("tests/test_b.py", cart["tests/test_b.py"])
	c.expect("run 10 · tests/test_b.py changed · tests/test_b.py", "2 passed", "a all · f failed"+help)
	c.press("f")
	c.expect("no test has failed")
	// broken: shown, and the rest runs; nothing but the end of it makes it green
	c.write("tests/test_b.py", "def test_b1(:\n")
	c.expect("run 11", "SyntaxError", "no tests ran, exit status", help)
	c.write("tests/test_new.py", "def test_new():\n    assert 1\n")
	c.expect("run 12 · tests/test_b.py and 1 more changed", "SyntaxError", "1 passed", "exit status 1", help)
	c.write("tests/test_b.py", cart["tests/test_b.py"])
	c.expect("run 13 · tests/test_b.py changed", "2 passed", help)
	c.press("q")
	c.ends(0)
	if !c.cooked() {
		t.Error("the terminal is not as it was")
	}
}

// blocking is a test that goes on until a file is there that nobody watches.
const blocking = `
import os, time
def test_slow():
    print("started", file=open(1, "w", closefd=False), flush=True)
    while not os.path.exists(os.environ["OUTSIDE"] + "/go"):
        time.sleep(0.01)
`

func TestWatchEditDuringRun(t *testing.T) {
	c := watch(t, true, map[string]string{"test_slow.py": blocking, "test_b.py": "def test_b():\n    pass\n"}, "--capture=no")
	c.expect("run 1", "started")
	c.write("test_slow.py", "def test_slow():\n    assert 1 == 2\n")
	// the run that was cancelled had all tests to do
	c.expect("run 2 · ", "all tests", "1 failed, 1 passed", "\r\n1 failed, 1 passed", help)
	c.write("test_slow.py", blocking)
	c.expect("run 3", "started")
	c.press("\x03")
	c.expect("\r\nstopped\r\n", help)
	// what was stopped is not forgotten
	c.write("test_b.py", "def test_b():\n    assert 1\n")
	c.expect("run 4 · test_b.py and 1 more changed · test_slow.py, test_b.py", "started")
	c.press("\x03")
	c.expect("\r\nstopped\r\n", help)
	c.press("\x03")
	c.ends(0)
	if !c.cooked() {
		t.Error("the terminal is not as it was")
	}
}

func TestWatchTerminated(t *testing.T) {
	c := watch(t, true, map[string]string{"test_slow.py": blocking}, "-s")
	c.expect("run 1", "started")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.ends(128 + int(syscall.SIGTERM))
	if !c.cooked() {
		t.Error("the terminal is not as it was")
	}
}

func TestWatchWithoutTerminal(t *testing.T) {
	c := watch(t, false, cart, "--", "tests")
	got := c.expect("run 1 · first run · all tests", "\n3 passed in ", "waiting for changes in "+c.dir)
	c.write("cart.py", "def total(xs):\n    return 7\n")
	got += c.expect("run 2 · cart.py changed · what is due", "1 failed", "1 run · 2 unchanged", "waiting for changes")
	c.write("tests/test_b.py", "def test_b():\n    pass\n")
	got += c.expect("run 3 · tests/test_b.py changed · tests/test_cart.py::test_total, tests/test_b.py", "1 failed, 1 passed", "waiting for changes")
	if strings.Contains(got, "\x1b") || strings.Contains(got, "q quit") {
		t.Errorf("a pipe got what is for a terminal:\n%q", got)
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.ends(0)
}

func TestWatchFirstFailure(t *testing.T) {
	c := watch(t, true, map[string]string{
		"test_a.py": "def test_a():\n    assert 0\n", "test_b.py": "def test_b():\n    assert 0\n", "test_c.py": "def test_c():\n    pass\n",
	}, "-x")
	c.expect("run 1", "\r\n1 failed in", "f failed (1)"+help)
	c.write("test_a.py", "def test_a():\n    pass\n")
	c.expect("run 2 · test_a.py changed · test_a.py", " 1 passed in", "run 3 · what the first failure had left out · all tests", "\r\n1 failed, 1 passed in", help)
	c.write("test_c.py", "def test_c():\n    assert 1\n")
	c.expect("run 4 · test_c.py changed · test_b.py::test_b, test_c.py", "\r\n1 failed in", help)
	// test_c.py has not run since it changed
	c.write("test_b.py", "def test_b():\n    pass\n")
	c.expect("run 5 · test_b.py and 1 more changed · test_b.py, test_c.py", " 2 passed in", "run 6", "\r\n3 passed in", "a all · f failed"+help)
	c.press("q")
	c.ends(0)
}

func TestWatchUnittest(t *testing.T) {
	test := "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(1, %d)\n"
	c := watchWith(t, true, map[string]string{"test_u.py": fmt.Sprintf(test, 1), "test_v.py": fmt.Sprintf(test, 1)}, "--python", enginetest.Bare(t))
	c.expect("run 1 · first run", "Ran 2 tests", "\r\n2 passed in", help)
	c.write("test_u.py", fmt.Sprintf(test, 2))
	c.expect("run 2 · test_u.py changed · test_u.py", "AssertionError: 1 != 2", "\r\n1 failed in", help)
	c.write("test_v.py", fmt.Sprintf(test, 1)+"\n")
	c.expect("run 3 · test_v.py changed · test_u.py::T::test_one, test_v.py", "Ran 2 tests", "\r\n1 failed, 1 passed in", help)
	c.press("q")
	c.ends(0)
}

// TestWatchTestsThatWrite has tests that write into the project: a file with
// other text each time, one with another name each time, and one that is gone
// at the end.
func TestWatchTestsThatWrite(t *testing.T) {
	c := watch(t, true, map[string]string{"out.txt": "", "logs/0": "", "test_w.py": `
import os, time
def test_w():
    now = time.time_ns()
    open("out.txt", "w").write(str(now))
    open("logs/%d" % now, "w").close()
    open("gone.txt", "w").close()
    os.remove("gone.txt")
`})
	c.expect("written by the tests, so no run follows when they do: ", help)
	c.mu.Lock()
	runs := strings.Count(c.text.String(), "\x1b[2J")
	c.mu.Unlock()
	if runs > 4 {
		t.Errorf("%d runs", runs)
	}
	// an edit while nothing runs counts all the same
	c.write("out.txt", "edit")
	c.expect(fmt.Sprintf("run %d · out.txt changed", runs+1), "1 passed", help)
	c.press("q")
	c.ends(0)
}

// TestWatchByFunction observes anew what has run: what the tests write then is
// no edit, and the next edit goes by what was seen.
func TestWatchByFunction(t *testing.T) {
	python, there := enginetest.PythonWith(t, "3.13", "9.2.0")
	if !there {
		python, there = enginetest.PythonWith(t, "3.12", "9.2.0")
	}
	if !there {
		return
	}
	text := "def f():\n    return %d\n\n\ndef g():\n    return %d\n"
	c := watchWith(t, true, map[string]string{
		"pytest.ini": "[pytest]\n", "lib.py": fmt.Sprintf(text, 1, 2), "test_a.py": `
import time, lib
def test_f(): assert lib.f()
def test_g(): assert lib.g()
def test_w():
    assert lib.f()
    open("out.txt", "w").write(str(time.time_ns()))
`}, "--python", python)
	c.expect("run 1", "3 passed", help)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("dx-py", append(args, "--python", python)...)
		cmd.Dir, cmd.Env = c.dir, c.cmd.Env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if said := run("affected", "--audit"); !strings.Contains(said, "3 go by the functions") {
		t.Fatal(said)
	}
	c.expect("out.txt changed", "3 passed", help) // another program's run wrote it
	// Till what ran is observed, an edit of another function is what only files tell.
	c.write("lib.py", fmt.Sprintf(text, 3, 2))
	c.expect("lib.py changed · what is due", "2 passed", "2 run · 1 unchanged", help)
	var states []string
	for _, kv := range c.cmd.Env {
		if at, ok := strings.CutPrefix(kv, "DX_PY_STATE_DIR="); ok {
			states, _ = filepath.Glob(filepath.Join(at, "*", "executed"))
		}
	}
	if len(states) != 1 {
		t.Fatalf("state: %v", states)
	}
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		x := history.OpenExecuted(filepath.Dir(states[0]))
		f, w := len(x.Of("test_a.py::test_f")), len(x.Of("test_a.py::test_w"))
		x.Close()
		if f == 2 && w == 2 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("observed %d and %d times", f, w)
		}
	}
	c.write("lib.py", fmt.Sprintf(text, 3, 4))
	c.expect("lib.py changed · what is due", "1 passed", "1 run · 2 unchanged", help)
	c.press("q")
	c.ends(0)
}
