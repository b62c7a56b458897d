package forward_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func project(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func options(t testing.TB) server.Options {
	return server.Options{
		Version: "test", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		Env: map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "9.2.0")))},
	}
}

const text = "import pytest\n\n\ndef test_a(nothing):\n    pass\n"

// TestKilled kills the server between messages: what the editor has said holds,
// buffers that are not saved, folders, trust, what is asked meanwhile.
func TestKilled(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	other := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_o.py": "def test_o(): pass\n"})
	m := &lsptest.Mortal{}
	c := lsptest.Rich()
	c.Options, c.Serve = nil, m.Serve
	e := lsptest.StartClient(t, dir, options(t), c)
	e.Open("test_a.py", text)
	e.Change("test_a.py", 0, 0, "# ünicode 🜁\n")
	e.Notify("workspace/didChangeWorkspaceFolders", map[string]any{"event": map[string]any{
		"added": []any{map[string]any{"uri": "file://" + other, "name": "o"}}, "removed": []any{},
	}})
	e.Notify(testproto.MethodTrust, testproto.TrustParams{Trusted: true})
	var first testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, nil, &first)
	if len(first.Tests) < 4 {
		t.Fatalf("%+v", first.Tests)
	}
	for round := 1; round <= 3; round++ {
		if n := m.Kill(); n != round {
			t.Errorf("%d servers, want %d", n, round)
		}
		at := strings.Index(e.Text("test_a.py"), "def test_a")
		e.Change("test_a.py", at, at, "def test_new"+itoa(round)+"(): pass\n\n\n")
		want := 1 + strings.Count(e.Text("test_a.py")[:strings.LastIndex(e.Text("test_a.py"), "def test_a")], "\n")
		if lenses := e.Lenses("test_a.py"); len(lenses) == 0 || !strings.HasPrefix(lenses[len(lenses)-1], strings.TrimSpace(itoa(want))+": ") {
			t.Errorf("lenses %q, the last one is not at %d", lenses, want)
		}
		var next testproto.DiscoverResult
		e.Call(testproto.MethodDiscoverTests, nil, &next)
		if next.Generation <= first.Generation {
			t.Errorf("generation %d behind %d", next.Generation, first.Generation)
		}
		if diff := cmp.Diff(ids(first.Tests), ids(next.Tests)); diff != "" {
			t.Errorf("the tree:\n%s", diff)
		}
		first = next
		e.AfterProblems("test_a.py", func(p []string) bool { return len(p) == 1 && strings.HasPrefix(p[0], itoa(want)+": ") })
		id := "run" + itoa(round)
		if r := e.Run(testproto.RunParams{RunID: id, Kind: "run", Include: []testproto.Ref{{Root: "file://" + other, ID: "."}}}); r.Ended.Outcome != "passed" {
			t.Errorf("%+v", r.Ended)
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func ids(tests []testproto.TestItem) (out []string) {
	for _, t := range tests {
		out = append(out, t.Root+" "+t.ID)
	}
	slices.Sort(out)
	return out
}

// TestRunIsLost kills the server while tests run: the editor sees the end of
// the run, of each of its tests, of progress and of the command.
func TestRunIsLost(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\ndef test_b():\n    open('fifo', 'w').write('x')\n    while True: pass\n"})
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &lsptest.Mortal{}
	c := lsptest.Rich()
	c.Serve = m.Serve
	e := lsptest.StartClient(t, dir, options(t), c)
	ref := []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py"}}
	run := testproto.RunParams{RunID: "lost", Kind: "run", Include: ref}
	e.Call(testproto.MethodRunTests, run, nil)
	if b, err := os.ReadFile(fifo); string(b) != "x" {
		t.Fatal(err)
	}
	m.Kill()
	r := e.AfterRun("lost")
	if r.Ended.Outcome != "error" || !strings.Contains(r.Ended.Message, "run it again") || r.Last["test_a.py::test_b"].State != testproto.Cancelled {
		t.Errorf("%+v", r)
	}
	e.Open("test_a.py", "def test_b(): pass\n")
	failed := make(chan error, 1)
	go func() { failed <- e.Command("dx-py.server.run", map[string]any{"uri": e.URI("test_a.py")}, nil) }()
	if b, err := os.ReadFile(fifo); string(b) != "x" {
		t.Fatal(err)
	}
	m.Kill()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("the command: %v", err)
	}
	shown := map[string]bool{}
	e.Synchronize()
	for _, p := range e.Said("$/progress") {
		var x struct {
			Token json.RawMessage
			Value struct{ Kind string }
		}
		if err := json.Unmarshal(p, &x); err != nil {
			t.Error(err)
		}
		shown[string(x.Token)] = x.Value.Kind != "end"
	}
	for token, on := range shown {
		if on {
			t.Errorf("progress %s does not end", token)
		}
	}
	if len(shown) == 0 {
		t.Errorf("progress was shown for %v", shown)
	}
	said := e.Messages()
	if len(said) < 2 || !strings.Contains(said[len(said)-1], "a run was lost") {
		t.Errorf("the user is told %q", said)
	}
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte("def test_b(): pass\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run.RunID = "again"
	if r := e.Run(run); r.Ended.Outcome != "passed" {
		t.Errorf("%+v", r.Ended)
	}
}
