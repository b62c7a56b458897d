package server_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// debugged has limits that would end a test at once, and coverage that would
// take the place of the debugger.
const debugged = `import time

import pytest


@pytest.mark.timeout(0.05)
def test_slow():
    began = time.time()
    while time.time() - began < 0.2:
        pass
    assert began > 0


def test_other():
    assert 1 == 2
`

func debugger(t *testing.T, python string) server.Options {
	exe, ok := enginetest.Debugger(t, python)
	if !ok {
		t.Logf("there is no Python %s here", python)
		return server.Options{}
	}
	o := options
	o.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(exe))}
	o.StateDir = t.TempDir()
	return o
}

// attachment waits until the server says where a debugger is waited for.
func attachment(t *testing.T, e *lsptest.Editor) testproto.DebugAttachParams {
	t.Helper()
	var all []json.RawMessage
	e.After(testproto.MethodDebugAttach, func(said []json.RawMessage) bool {
		all = said
		return len(said) > 0
	})
	return decode[testproto.DebugAttachParams](t, all[len(all)-1])
}

// begin attaches: the adapter takes breakpoints, and answers when
// configurationDone has been sent.
func begin(t *testing.T, port int) (d *lsptest.Debugger, attach int) {
	t.Helper()
	d = lsptest.Debug(t, "127.0.0.1", port)
	d.Call("initialize", map[string]any{"adapterID": "dx-py", "linesStartAt1": true, "columnsStartAt1": true, "pathFormat": "path"}, nil)
	attach = d.Send("attach", map[string]any{"justMyCode": true})
	d.Event("initialized", nil)
	return d, attach
}

// stopped is a process at a breakpoint.
type stopped struct {
	d      *lsptest.Debugger
	thread int
}

// stop attaches and waits until the process stands at a line of a file.
func stop(t *testing.T, at testproto.DebugAttachParams, path string, line int) stopped {
	t.Helper()
	d, attach := begin(t, at.Port)
	var set struct{ Breakpoints []struct{ Verified bool } }
	d.Call("setBreakpoints", map[string]any{"source": map[string]any{"path": path}, "breakpoints": []any{map[string]any{"line": line}}}, &set)
	if len(set.Breakpoints) != 1 || !set.Breakpoints[0].Verified {
		t.Errorf("the breakpoint: %+v", set)
	}
	d.Send("configurationDone", map[string]any{})
	d.Answer(attach, nil)
	var event struct {
		Reason   string
		ThreadID int `json:"threadId"`
	}
	d.Event("stopped", &event)
	if event.Reason != "breakpoint" {
		t.Errorf("it stopped because of %s", event.Reason)
	}
	return stopped{d, event.ThreadID}
}

// stack is the innermost frames as file:line: name.
func (s stopped) stack() (out []string) {
	var trace struct {
		StackFrames []struct {
			Name   string
			Line   int
			Source struct{ Path string }
		}
	}
	s.d.Call("stackTrace", map[string]any{"threadId": s.thread}, &trace)
	for _, f := range trace.StackFrames {
		out = append(out, filepath.Base(f.Source.Path)+":"+strconv.Itoa(f.Line)+": "+f.Name)
	}
	return out
}

// TestDebug stops in a test at a breakpoint, on the releases of Python that
// trace in different ways.
func TestDebug(t *testing.T) {
	for _, python := range []string{"3.8", "3.11", "3.12", "3.13"} {
		opts := debugger(t, python)
		if opts.StateDir == "" {
			continue
		}
		t.Run(python, func(t *testing.T) {
			dir := project(t, map[string]string{
				"pytest.ini": "[pytest]\naddopts = --cov=. -n2 --timeout=0.05\nfaulthandler_timeout = 0.05\n", "test_a.py": debugged,
			})
			e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
			ref := testproto.Ref{Root: "file://" + dir, ID: "test_a.py::test_slow"}
			e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "d", Kind: "debug", Include: []testproto.Ref{ref}}, nil)
			at := attachment(t, e)
			if at.RunID != "d" || at.Root != ref.Root || at.Cwd != dir || at.Host != "127.0.0.1" {
				t.Errorf("attach: %+v", at)
			}
			s := stop(t, at, filepath.Join(dir, "test_a.py"), 11)
			if diff := cmp.Diff([]string{"test_a.py:11: test_slow", "<string>:1: <module>"}, s.stack()); diff != "" {
				t.Errorf("the stack:\n%s", diff)
			}
			s.d.Call("continue", map[string]any{"threadId": s.thread}, nil)
			run := e.AfterRun("d")
			if diff := cmp.Diff([]string{"test_a.py::test_slow passed"}, run.States); diff != "" {
				t.Errorf("states:\n%s", diff)
			}
			if run.Ended.Outcome != "passed" || !strings.HasPrefix(run.Output, "waiting for a debugger on 127.0.0.1:"+strconv.Itoa(at.Port)) || strings.Contains(run.Output, "left a process") {
				t.Errorf("ended: %+v, output %q", run.Ended, run.Output)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".coverage*")); len(left) > 0 {
				t.Errorf("coverage was measured: %q", left)
			}
		})
	}
}

// TestDebugIsCancelled ends a run that waits for its debugger, and one that
// stands at a breakpoint.
func TestDebugIsCancelled(t *testing.T) {
	opts := debugger(t, "3.11")
	if opts.StateDir == "" {
		return
	}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": debugged})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	ask := testproto.RunParams{RunID: "1", Kind: "debug", Include: []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py"}}}
	e.Call(testproto.MethodRunTests, ask, nil)
	at := attachment(t, e)
	gone := func(at testproto.DebugAttachParams) {
		t.Helper()
		if c, err := net.Dial("tcp", net.JoinHostPort(at.Host, strconv.Itoa(at.Port))); err == nil {
			c.Close()
			t.Error("somebody listens when the run has ended")
		}
	}
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "1"}, nil)
	run := e.AfterRun("1")
	if diff := cmp.Diff([]string{"test_a.py::test_other cancelled", "test_a.py::test_slow cancelled"}, run.States); diff != "" || run.Ended.Outcome != "cancelled" {
		t.Errorf("%+v, states:\n%s", run.Ended, diff)
	}
	gone(at)
	ask.RunID = "2"
	e.Call(testproto.MethodRunTests, ask, nil)
	e.After(testproto.MethodDebugAttach, func(said []json.RawMessage) bool { return len(said) > 1 })
	at = attachment(t, e)
	stop(t, at, filepath.Join(dir, "test_a.py"), 11)
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "2"}, nil)
	if run := e.AfterRun("2"); run.Ended.Outcome != "cancelled" || run.Last["test_a.py::test_other"].State != testproto.Cancelled {
		t.Errorf("%+v %q", run.Ended, run.States)
	}
	gone(at)
}

// TestDebugIsRefused says what is missing.
func TestDebugIsRefused(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": debugged})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	err := e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "debug"}, nil)
	if err == nil || !strings.Contains(err.Error(), "-32803") || !strings.Contains(err.Error(), "bin/python -m pip install debugpy") {
		t.Errorf("without debugpy: %v", err)
	}
	if run := e.Run(testproto.RunParams{RunID: "1", Kind: "run", Include: []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py::test_other"}}}); run.Ended.Outcome != "failed" {
		t.Errorf("the id of a refused run is free: %+v", run.Ended)
	}
}

// TestDebugCommand debugs in a client that draws no tree, a file that cannot be
// collected.
func TestDebugCommand(t *testing.T) {
	opts := debugger(t, "3.11")
	if opts.StateDir == "" {
		return
	}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "int(\"seven\")\n\n\ndef test_a(): pass\n"})
	e := lsptest.Start(t, dir, opts)
	e.Open("test_a.py", "int(\"seven\")\n\n\ndef test_a(): pass\n")
	answer := make(chan error)
	go func() {
		answer <- e.Command("dx-py.server.debug", map[string]any{"uri": e.URI("test_a.py"), "name": "::test_a"}, nil)
	}()
	var port int
	e.After("window/showMessage", func(said []json.RawMessage) bool {
		for _, m := range said {
			if rest, ok := strings.CutPrefix(decode[struct{ Message string }](t, m).Message, "waiting for a debugger on 127.0.0.1:"); ok {
				n, _, _ := strings.Cut(rest, " ")
				port, _ = strconv.Atoi(n)
			}
		}
		return port != 0
	})
	d, attach := begin(t, port)
	d.Send("configurationDone", map[string]any{})
	d.Answer(attach, nil)
	if err := <-answer; err != nil {
		t.Errorf("the command answers %v", err)
	}
	e.AfterProblems("test_a.py", func(m []string) bool { return len(m) == 1 && strings.Contains(m[0], "ValueError: invalid literal") })
}

// TestDebugLens is for clients that have the command.
func TestDebugLens(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": debugged})
	for _, c := range []struct {
		commands []string
		want     []string
	}{
		{nil, []string{"1: Run 2", "7: Run", "14: Run"}},
		{[]string{"dx-py.debugTest"}, []string{"1: Run 2", "7: Run", "7: Debug", "14: Run", "14: Debug"}},
	} {
		client := lsptest.Rich()
		client.Capabilities["experimental"] = map[string]any{"commands": map[string]any{"commands": c.commands}}
		e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), client)
		e.Open("test_a.py", debugged)
		if diff := cmp.Diff(c.want, e.Lenses("test_a.py")); diff != "" {
			t.Errorf("lenses of a client with %q:\n%s", c.commands, diff)
		}
	}
}

// TestDebuggerEnds ends the process from the debugger, and lets it go on without
// one.
func TestDebuggerEnds(t *testing.T) {
	opts := debugger(t, "3.11")
	if opts.StateDir == "" {
		return
	}
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": debugged})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	for i, c := range []struct {
		terminate bool
		outcome   string
		states    []string
	}{
		{true, "cancelled", []string{"test_a.py::test_other cancelled", "test_a.py::test_slow cancelled"}},
		{false, "failed", []string{"test_a.py::test_other failed", "test_a.py::test_slow passed"}},
	} {
		id := strconv.Itoa(i)
		e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: id, Kind: "debug", Include: []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py"}}}, nil)
		e.After(testproto.MethodDebugAttach, func(said []json.RawMessage) bool { return len(said) > i })
		d := stop(t, attachment(t, e), filepath.Join(dir, "test_a.py"), 11).d
		d.Send("disconnect", map[string]any{"terminateDebuggee": c.terminate})
		run := e.AfterRun(id)
		if diff := cmp.Diff(c.states, run.States); diff != "" || run.Ended.Outcome != c.outcome {
			t.Errorf("terminated %v: %+v, states:\n%s", c.terminate, run.Ended, diff)
		}
	}
}

// TestDebugUnittest debugs where there is no pytest.
func TestDebugUnittest(t *testing.T) {
	opts := options
	opts.Env = map[string]string{"VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.BareDebugger(t)))}
	dir := project(t, map[string]string{"setup.cfg": "[tool:pytest]\n", "test_a.py": unittests})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "debug", Include: []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py::Numbers"}}}, nil)
	s := stop(t, attachment(t, e), filepath.Join(dir, "test_a.py"), 6)
	if stack := s.stack(); len(stack) == 0 || stack[0] != "test_a.py:6: test_add" {
		t.Errorf("the stack: %q", stack)
	}
	s.d.Call("continue", map[string]any{"threadId": s.thread}, nil)
	run := e.AfterRun("1")
	if diff := cmp.Diff([]string{"test_a.py::Numbers::test_add passed", "test_a.py::Numbers::test_bad failed"}, run.States); diff != "" {
		t.Errorf("%+v, states:\n%s", run.Ended, diff)
	}
	if err := e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "2", Kind: "coverage"}, nil); err == nil || !strings.Contains(err.Error(), "coverage needs pytest") {
		t.Errorf("coverage: %v", err)
	}
}
