package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// editor is an editor with a process of the program; vars are for its
// environment.
type editor struct {
	*lsptest.Editor
	h    *home
	cmd  *exec.Cmd
	said *bytes.Buffer // on standard error; to be read when it has ended
}

func (h *home) editor(vars ...string) *editor {
	h.t.Helper()
	cmd := h.command(vars...)
	cmd.Args = []string{"dx-py-ls", "--stdio"}
	return h.editorOf(cmd)
}

// editorOf is an editor with a process that serves it.
func (h *home) editorOf(cmd *exec.Cmd) *editor {
	h.t.Helper()
	x := &editor{h: h, cmd: cmd, said: &bytes.Buffer{}}
	x.cmd.Stderr = x.said
	c := lsptest.Rich()
	c.Serve = func(_ context.Context, in io.Reader, out io.Writer, _ server.Options) error {
		w, err := x.cmd.StdinPipe()
		if err != nil {
			return err
		}
		x.cmd.Stdout = out
		if err := x.cmd.Start(); err != nil {
			return err
		}
		go func() { _, _ = io.Copy(w, in) }()
		return x.cmd.Wait()
	}
	x.Editor = lsptest.StartClient(h.t, h.dir, server.Options{}, c)
	return x
}

// tests runs all tests.
func (x *editor) tests(id string, want string) {
	x.h.t.Helper()
	r := x.Run(testproto.RunParams{RunID: id, Kind: "run", Include: []testproto.Ref{{Root: "file://" + x.h.dir, ID: "."}}})
	if r.Ended.Outcome != want {
		x.h.t.Errorf("run %s: %+v", id, r.Ended)
	}
}

func (h *home) kill() {
	h.t.Helper()
	if err := syscall.Kill(h.pid(), syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
}

const numbered = "import os\nNUMBER = os.urandom(8).hex()\n"

const telling = "import os\nfrom conftest import NUMBER\ndef test_a():\n    open(os.environ['TOLD'], 'w').write(NUMBER)\ndef test_b(): pass\n"

// TestEditors has two editors and a shell at one project: one resident process
// serves them. It is killed, and then ended for good: the editors go on.
func TestEditors(t *testing.T) {
	h := newHome(t, map[string]string{"conftest.py": numbered, "test_a.py": telling})
	told := filepath.Join(t.TempDir(), "told")
	h.vars = append(h.vars, "TOLD="+told)
	// number tells the conftest apart that the last run had.
	number := func() string {
		t.Helper()
		return string(must(os.ReadFile(told)))
	}
	one, two := h.editor(), h.editor()
	for _, e := range []*editor{one, two} {
		e.Open("test_a.py", telling)
		e.Change("test_a.py", 0, 0, "\n# not saved\n")
	}
	lenses := func() {
		t.Helper()
		for _, e := range []*editor{one, two} {
			e.Change("test_a.py", 0, 0, "\n")
			at := strings.Count(e.Text("test_a.py")[:strings.Index(e.Text("test_a.py"), "def test_a")], "\n")
			if got := e.Lenses("test_a.py"); len(got) == 0 || !strings.HasPrefix(got[len(got)-2], string(must(json.Marshal(at+1)))+": ") {
				t.Errorf("lenses %q, that of test_a is not at %d", got, at+1)
			}
		}
	}
	lenses()
	if s := h.run("daemon", "status"); !strings.Contains(s.out, " 2 editors,") {
		t.Errorf("%s%s", s.out, s.stderr)
	}
	pid := h.pid()
	one.tests("one", "passed")
	a := number()
	two.tests("two", "passed")
	if b := number(); a != b {
		t.Errorf("they have conftests of their own: %s, %s", a, b)
	}
	h.want(h.run("test"), 0, "2 passed")
	if s := h.run("daemon", "status"); strings.Count(s.out, "\n") != 2 || !strings.Contains(s.out, "  "+h.dir+"\n") {
		t.Errorf("not one engine:\n%s", s.out)
	}
	if h.pid() != pid || pid == 0 {
		t.Errorf("processes %d and %d", pid, h.pid())
	}
	h.kill()
	lenses()
	if s := h.run("daemon", "status"); !strings.Contains(s.out, " 2 editors,") || h.pid() == pid {
		t.Errorf("%s%s", s.out, s.stderr)
	}
	one.tests("three", "passed")
	if number() == a {
		t.Error("a killed process goes on")
	}
	h.want(h.run("test"), 0, "2 passed")
	h.want(h.run("daemon", "stop"), 0, "")
	lenses()
	one.tests("four", "passed")
	two.tests("five", "passed")
	if pid := h.pid(); pid != 0 {
		t.Errorf("process %d runs though it was ended", pid)
	}
	one.Stop()
	two.Stop()
	if t.Failed() {
		t.Logf("%s\n%s", one.said, two.said)
	}
	h.nothingLeft()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestEditorAlone serves an editor without a resident process.
func TestEditorAlone(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, vars := range map[string][]string{
		"DX_PY_NO_DAEMON": {"DX_PY_NO_DAEMON=1"}, "CI": {"CI=true"}, "a folder that is open to others": {"DX_PY_RUNTIME_DIR=" + open},
	} {
		e := h.editor(vars...)
		e.tests("one", "passed")
		if h.pid() != 0 {
			t.Errorf("%s: a resident process was started", name)
		}
		e.Stop()
	}
	h.write("pyproject.toml", "[tool.dx-py]\ndaemon = false\n")
	e := h.editor()
	e.tests("one", "passed")
	if h.pid() != 0 {
		t.Error("a resident process was started though the project does not want it")
	}
}

// inRun is an editor whose run one hangs in its test, and a file that ends with
// the process that the test runs in.
func (h *home) inRun() (*editor, io.Reader) {
	h.t.Helper()
	fifo := filepath.Join(h.t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		h.t.Fatal(err)
	}
	e := h.editor("FIFO=" + fifo)
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "one", Kind: "run", Include: []testproto.Ref{{Root: "file://" + h.dir, ID: "."}}}, nil)
	f, err := os.Open(fifo)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { f.Close() })
	return e, f
}

// TestEditorKilled kills the process that an editor has started, in a run: that
// ends, and the resident process stays.
func TestEditorKilled(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": hanging})
	e, f := h.inRun()
	pid := h.pid()
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, f)
	var exit *exec.ExitError
	if err := e.Ended(); !errors.As(err, &exit) {
		t.Errorf("the editor's process: %v", err)
	}
	if h.pid() != pid || pid == 0 {
		t.Errorf("processes %d and %d", pid, h.pid())
	}
}

// TestEditorStopped stops the resident process in the middle of a session: the
// editor is served within seconds, and told of it once.
func TestEditorStopped(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	e := h.editor()
	e.tests("one", "passed")
	pid := h.pid()
	h.stop(pid)
	var r testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, nil, &r)
	if len(r.Tests) != 2 {
		t.Errorf("the tree: %+v", r.Tests)
	}
	e.tests("two", "passed")
	if all := e.Said("window/logMessage"); len(all) != 1 || !strings.Contains(string(all[0]), "does not answer") {
		t.Errorf("the user is told %s", all)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.tests("three", "passed")
	if h.pid() != pid {
		t.Errorf("processes %d and %d", pid, h.pid())
	}
}

// stop stops a process, and returns when all its threads are.
func (h *home) stop(pid int) {
	h.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	for stopped := false; !stopped; {
		stopped = true
		for _, name := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))) {
			b, _ := os.ReadFile(name) // "" for a thread that has ended
			_, state, _ := strings.Cut(string(b), ") ")
			stopped = stopped && !strings.ContainsAny(state[:min(1, len(state))], "RSD")
		}
	}
}

// TestEditorStoppedInRun stops the resident process in a run: the editor is told
// of the run's end, and the next one is served.
func TestEditorStoppedInRun(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": hanging})
	e, f := h.inRun()
	pid := h.pid()
	h.stop(pid)
	if r := e.AfterRun("one"); r.Ended.Outcome != "error" || !strings.Contains(r.Ended.Message, "run it again") {
		t.Errorf("%+v", r.Ended)
	}
	h.write("test_a.py", "def test_a(): pass\n")
	e.tests("two", "passed")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, f)
}

// TestEditorOfNode has editors with another limit of open files than the shell,
// as all that Node.js starts. One that comes to a shell's resident process is
// served; where it has started one, the shell gets its own.
func TestEditorOfNode(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	name := filepath.Join(t.TempDir(), "dx-py-ls")
	if err := os.Symlink(h.program, name); err != nil {
		t.Fatal(err)
	}
	node := func() *editor {
		cmd := h.command()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `ulimit -Sn 500; exec "$0" --stdio`, name}
		return h.editorOf(cmd)
	}
	status := func(want string) int {
		t.Helper()
		if s := h.run("daemon", "status"); !strings.Contains(s.out, want) {
			t.Errorf("status %s%s, want %s", s.out, s.stderr, want)
		}
		return h.pid()
	}
	first := node()
	first.tests("one", "passed")
	editors := status(" 0 runs (0 now), 1 editor,")
	for range 2 {
		r := h.run("test")
		h.want(r, 0, "1 passed")
		if strings.Contains(r.stderr, "cold") {
			t.Errorf("the shell is told %q", r.stderr)
		}
	}
	shells := status(" 2 runs (0 now), 0 editors,")
	if shells == editors {
		t.Error("the shell runs in the editor's process")
	}
	first.tests("two", "passed")
	second := node()
	second.tests("three", "passed")
	if pid := status(" 2 runs (0 now), 1 editor,"); pid != shells {
		t.Errorf("process %d, then %d", shells, pid)
	}
}
