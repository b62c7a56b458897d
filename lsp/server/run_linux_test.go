package server_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

// TestRunLens runs tests by their lenses, with a real pytest: results stand in
// the lenses, failures at the line that failed, and both follow a fix.
func TestRunLens(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": failing})
	opts := options
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "9.2.0")))}
	e := lsptest.Start(t, dir, opts)
	e.Open("test_a.py", failing)
	if err := e.Click("test_a.py", 9); err != nil {
		t.Fatal(err)
	}
	got := e.Problems("test_a.py") // they come before the answer
	if diff := cmp.Diff([]string{"5: test_cases[3]: assert 3 < 3"}, got); diff != "" {
		t.Errorf("problems:\n%s", diff)
	}
	lenses := e.Lenses("test_a.py")
	if diff := cmp.Diff([]string{"1: ✗ 1 of 3 failed | Run 4", "9: ✗ 1 of 3 failed | Run 3", "13: Run 1", "14: Run"}, lenses); diff != "" {
		t.Errorf("lenses:\n%s", diff)
	}
	if err := e.Click("test_a.py", 14); err != nil {
		t.Fatal(err)
	}
	if lens := e.Lenses("test_a.py")[3]; !strings.HasPrefix(lens, "14: ✓ ") {
		t.Errorf("lens %q of a test that passed", lens)
	}

	// a fix on disk and in the buffer
	fixed := strings.Replace(failing, "n < 3", "n < 4", 1)
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(fixed), 0o644); err != nil {
		t.Fatal(err)
	}
	at := strings.Index(failing, "n < 3")
	e.Change("test_a.py", at, at+5, "n < 4")
	e.AfterProblems("test_a.py", func(m []string) bool {
		return slices.Equal(m, []string{"5: test_cases[3]: assert 3 < 3 (before the edit)"})
	})
	if lens := e.Lenses("test_a.py")[3]; lens != "14: – passed before the edit | Run" {
		t.Errorf("lens %q of a test that passed with other bytes", lens)
	}
	if err := e.Click("test_a.py", 1); err != nil {
		t.Fatal(err)
	}
	e.AfterProblems("test_a.py", func(m []string) bool { return len(m) == 0 })
	for _, lens := range e.Lenses("test_a.py") {
		if !strings.Contains(lens, "✓") {
			t.Errorf("lens %q after the fix", lens)
		}
	}
	if m := e.Messages(); len(m) != 0 {
		t.Errorf("messages %q", m)
	}

	// what is only in the buffer is not run in silence
	e.Change("test_a.py", 0, 0, "# not saved\n")
	if err := e.Click("test_a.py", 15); err != nil {
		t.Fatal(err)
	}
	if m := e.Messages(); len(m) != 1 || !strings.Contains(m[0], "not saved") {
		t.Errorf("messages %q", m)
	}
}

// TestRunAtCursor runs the test around a line.
func TestRunAtCursor(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": failing})
	opts := options
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "8.4.2")))}
	e := lsptest.Start(t, dir, opts)
	e.Open("test_a.py", failing)
	var said struct{ Totals map[string]int }
	argument := map[string]any{"uri": "file://" + filepath.Join(dir, "test_a.py"), "line": 14}
	e.Call("workspace/executeCommand", map[string]any{"command": "dx-py.server.runAtCursor", "arguments": []any{argument}}, &said)
	if diff := cmp.Diff(map[string]int{"passed": 1}, said.Totals); diff != "" {
		t.Errorf("totals:\n%s", diff)
	}
}

// TestCancelRun cancels a run from the client.
func TestCancelRun(t *testing.T) {
	source := "import time\n\n\ndef test_a():\n    open('started', 'w').close()\n    time.sleep(600)\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": source})
	if err := syscall.Mkfifo(filepath.Join(dir, "started"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := options
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "9.2.0")))}
	e := lsptest.Start(t, dir, opts)
	e.Open("test_a.py", source)
	ended := make(chan error, 1)
	go func() { ended <- e.Click("test_a.py", 4) }()
	f, err := os.Open(filepath.Join(dir, "started")) // until the test runs
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if lens := e.Lenses("test_a.py")[1]; lens != "4: … | Run" {
		t.Errorf("lens %q of a test that runs", lens)
	}
	e.Call("workspace/executeCommand", map[string]any{"command": "dx-py.server.cancel"}, nil)
	if err := <-ended; err != nil {
		t.Errorf("the cancelled run: %v", err)
	}
	if lens := e.Lenses("test_a.py")[1]; lens != "4: Run" {
		t.Errorf("lens %q after the cancel", lens)
	}
}

// TestClosedPipeInARun closes the client's end while a command runs tests: the
// server does not wait for them.
func TestClosedPipeInARun(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a():\n    open('fifo', 'w').write('x')\n    while True: pass\n"})
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	in, w := io.Pipe()
	opts := options
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "9.2.0")))}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), in, io.Discard, opts) }()
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":"file://` + dir + `","capabilities":{},"initializationOptions":{"trusted":true}}}`,
		`{"jsonrpc":"2.0","id":2,"method":"workspace/executeCommand","params":{"command":"dx-py.server.run","arguments":[{"uri":"file://` + dir + `/test_a.py"}]}}`,
	} {
		if _, err := io.WriteString(w, message(m)); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(fifo); string(b) != "x" {
		t.Fatal(err)
	}
	w.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
