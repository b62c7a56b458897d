package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

const twoFail = `import os


def test_good():
    print(os.getppid())


def test_bad():
    print("some output")
    assert 1 == 2


def test_worse():
    assert [1] == [2]
`

type said struct {
	Status int
	Totals map[string]int
}

func TestCommands(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": twoFail})
	c := lsptest.Rich()
	delete(c.Capabilities, "experimental")
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), c)
	e.Open("test_a.py", twoFail)
	argument := func(line int) map[string]any {
		return map[string]any{"uri": e.URI("test_a.py"), "line": line - 1}
	}
	command := func(name string, argument any) (r said) {
		t.Helper()
		if err := e.Command("dx-py.server."+name, argument, &r); err != nil {
			t.Error(err)
		}
		return r
	}
	if diff := cmp.Diff(said{0, map[string]int{}}, command("rerunFailed", nil)); diff != "" {
		t.Errorf("nothing has failed yet:\n%s", diff)
	}
	if err := e.Command("dx-py.server.showOutput", argument(9), nil); err == nil || !strings.Contains(err.Error(), "has not run yet") {
		t.Errorf("output of a test that has not run: %v", err)
	}
	if diff := cmp.Diff(said{1, map[string]int{"passed": 1, "failed": 2}}, command("run", map[string]any{"uri": e.URI("test_a.py")})); diff != "" {
		t.Errorf("run:\n%s", diff)
	}
	if diff := cmp.Diff(said{1, map[string]int{"failed": 2}}, command("rerunFailed", nil)); diff != "" {
		t.Errorf("rerunFailed:\n%s", diff)
	}
	if diff := cmp.Diff(said{0, map[string]int{"passed": 1}}, command("runAtCursor", argument(5))); diff != "" {
		t.Errorf("runAtCursor:\n%s", diff)
	}
	command("showOutput", argument(9))
	shown := e.Said("window/showDocument")
	if len(shown) != 1 {
		t.Fatalf("shown documents: %s", shown)
	}
	text, err := os.ReadFile(strings.TrimPrefix(decode[struct{ URI string }](t, shown[0]).URI, "file://"))
	if err != nil || !strings.Contains(string(text), "some output") || !strings.Contains(string(text), "E       assert 1 == 2") || strings.Contains(string(text), "test_worse") {
		t.Errorf("the output that is shown: %s %v", text, err)
	}
	command("explain", argument(9))
	if m := e.Messages(); len(m) != 1 || !strings.Contains(m[0], "test_bad: pytest collects it from test_a.py, line 8; when it last ran it was failed") {
		t.Errorf("explained as %q", m)
	}
	command("restartWorkers", nil)
	if diff := cmp.Diff(said{0, map[string]int{"passed": 1}}, command("runAtCursor", argument(5))); diff != "" {
		t.Errorf("a run after the restart:\n%s", diff)
	}
	for _, p := range []map[string]any{{"command": "dx-py.server.nothing"}, {"command": "dx-py.server.run"}, {"command": "dx-py.server.run", "arguments": []any{7}}} {
		if err := e.Try("workspace/executeCommand", p, nil); err == nil || !strings.Contains(err.Error(), "-32602") {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// TestProgressCancels cancels a run by the token of its progress.
func TestProgressCancels(t *testing.T) {
	source := "import time\n\n\ndef test_a():\n    open('started', 'w').close()\n    time.sleep(600)\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": source})
	if err := syscall.Mkfifo(filepath.Join(dir, "started"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := lsptest.Rich()
	delete(c.Capabilities, "experimental")
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), c)
	e.Open("test_a.py", source)
	ended := make(chan error, 1)
	go func() { ended <- e.Click("test_a.py", 4) }()
	f, err := os.Open(filepath.Join(dir, "started")) // until the test runs
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	kinds := func() (out []string) {
		for _, raw := range e.Said("$/progress") {
			out = append(out, decode[struct{ Value struct{ Kind string } }](t, raw).Value.Kind)
		}
		return out
	}
	e.After("$/progress", func([]json.RawMessage) bool { return slices.Contains(kinds(), "begin") })
	token := decode[struct{ Token string }](t, e.Said("window/workDoneProgress/create")[0]).Token
	e.Notify("window/workDoneProgress/cancel", map[string]any{"token": token})
	if err := <-ended; err != nil {
		t.Errorf("the cancelled run: %v", err)
	}
	e.After("$/progress", func([]json.RawMessage) bool { return slices.Contains(kinds(), "end") })
}

// TestServerStatus follows trust and a run.
func TestServerStatus(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "import time\n\n\ndef test_a():\n    time.sleep(600)\n"})
	c := lsptest.Rich()
	c.Options = nil
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), c)
	last := func(want func(testproto.ServerStatus) bool) {
		t.Helper()
		e.After(testproto.MethodServerStatus, func(raw []json.RawMessage) bool {
			return len(raw) > 0 && want(decode[testproto.ServerStatus](t, raw[len(raw)-1]))
		})
	}
	last(func(s testproto.ServerStatus) bool {
		return s.Health == "warning" && s.Quiescent && strings.Contains(s.Message, "not trusted")
	})
	e.Notify(testproto.MethodTrust, testproto.TrustParams{Trusted: true})
	last(func(s testproto.ServerStatus) bool { return s == testproto.ServerStatus{Health: "ok", Quiescent: true} })
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "run"}, nil)
	last(func(s testproto.ServerStatus) bool { return s == testproto.ServerStatus{Health: "ok"} })
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "1"}, nil)
	last(func(s testproto.ServerStatus) bool { return s.Quiescent })
}

// TestNothingRunsUntrusted asks for all there is before the user trusts the
// workspace: a trap stands for python3 and for git, and one is named in the
// project's own configuration.
func TestNothingRunsUntrusted(t *testing.T) {
	script := "#!/bin/sh\ntouch \"$TRAP\"\nexec \"$REAL\" \"$@\"\n"
	bin := filepath.Join(project(t, map[string]string{"bin/python3": script, "bin/python": script, "bin/git": script}), "bin")
	own := filepath.Join(project(t, map[string]string{"bin/python": script}), "bin", "python")
	for _, p := range []string{filepath.Join(bin, "python3"), filepath.Join(bin, "python"), filepath.Join(bin, "git"), own} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	real := enginetest.Python(t, "9.2.0")
	// what Python and pytest are is read from beside the executable
	if err := os.Symlink(filepath.Join(filepath.Dir(filepath.Dir(real)), "lib"), filepath.Join(filepath.Dir(bin), "lib")); err != nil {
		t.Fatal(err)
	}
	cfg, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(real)), "pyvenv.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(bin), "pyvenv.cfg"), cfg, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := project(t, map[string]string{
		"pyproject.toml": "[tool.pytest.ini_options]\n[tool.dx-py]\npython = \"" + own + "\"\n", "test_a.py": failing, "conftest.py": conftest,
		".git/config": "[core]\n\tfsmonitor = " + filepath.Join(bin, "git") + "\n", ".git/HEAD": "ref: refs/heads/main\n",
	})
	sprung := filepath.Join(t.TempDir(), "sprung")
	opts := options
	opts.Env = map[string]string{"PATH": bin + ":/usr/bin:/bin", "TRAP": sprung, "REAL": real}
	c := lsptest.Rich()
	c.Options = map[string]any{"python": filepath.Join(bin, "python3")}
	e := lsptest.StartClient(t, dir, opts, c)
	e.Open("test_a.py", failing)
	ref := testproto.Ref{Root: "file://" + dir, ID: "test_a.py"}
	at := e.At("test_a.py", "def test_c|ases")
	at["context"] = map[string]any{"includeDeclaration": true}
	for _, method := range []string{"textDocument/hover", "textDocument/definition", "textDocument/references", "textDocument/completion", "textDocument/codeLens", "textDocument/documentSymbol"} {
		e.Call(method, at, nil)
	}
	e.Call("workspace/symbol", map[string]any{"query": ""}, nil)
	e.Call(testproto.MethodDiscoverTests, nil, nil)
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{Parent: &ref}, nil)
	e.Call(testproto.MethodExplain, testproto.ExplainParams{Ref: ref}, nil)
	e.Notify("textDocument/didSave", map[string]any{"textDocument": map[string]any{"uri": e.URI("test_a.py")}})
	refused := func(what string, err error) {
		if err == nil || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("%s in an untrusted workspace: %v", what, err)
		}
	}
	refused("a lens", e.Click("test_a.py", 9))
	refused("runTests", e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "run"}, nil))
	refused("resolveTestRun", e.Try(testproto.MethodResolveTestRun, testproto.ResolveParams{Ref: ref}, nil))
	for _, command := range []string{"run", "runAtCursor"} {
		refused(command, e.Command("dx-py.server."+command, map[string]any{"uri": e.URI("test_a.py"), "line": 9}, nil))
	}
	for _, command := range []string{"restartWorkers", "cancel", "rerunFailed"} {
		if err := e.Command("dx-py.server."+command, nil, nil); err != nil {
			t.Error(err)
		}
	}
	e.Synchronize()
	if _, err := os.Stat(sprung); err == nil {
		t.Fatal("a process was started before the user trusted the workspace")
	}

	// the traps work: with trust the one that the user chose is sprung
	e.Notify(testproto.MethodTrust, testproto.TrustParams{Trusted: true})
	run := e.Run(testproto.RunParams{RunID: "2", Kind: "run", Include: []testproto.Ref{ref}})
	if _, err := os.Stat(sprung); err != nil {
		t.Errorf("with trust nothing was started: %+v", run.Ended)
	}
}
