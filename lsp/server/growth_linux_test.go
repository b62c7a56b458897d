package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// use is what a process holds.
type use struct{ goroutines, descriptors, processes int }

// used counts it now.
func used(t *testing.T) (u use) {
	t.Helper()
	u.goroutines = runtime.NumGoroutine()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	u.descriptors = len(fds)
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tasks {
		b, _ := os.ReadFile(p) // a thread may end
		u.processes += len(strings.Fields(string(b)))
	}
	return u
}

// TestNothingGrows does what a user does, over and over, in one server: what it
// holds when all is quiet stays.
func TestNothingGrows(t *testing.T) {
	opts := debugger(t, "3.12")
	if opts.StateDir == "" {
		return
	}
	const text = "def test_a():\n    assert 1\n\n\ndef test_b():\n    assert 0\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	other := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_o.py": "def test_o(): pass\n"})
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	folder := []any{map[string]any{"uri": "file://" + other, "name": "o"}}
	ref := []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py"}}
	round := func(n int) {
		t.Helper()
		id := func(kind string) string { return kind + strconv.Itoa(n) }
		e.Open("test_a.py", text)
		e.Lenses("test_a.py")
		e.Change("test_a.py", 0, 0, "# one\n")
		if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(fmt.Sprintf("# %d\n%s", n, text)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := e.Command("dx-py.server.run", map[string]any{"uri": e.URI("test_a.py")}, nil); err != nil {
			t.Error(err)
		}
		e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: id("watched"), Kind: "run", Continuous: true, Include: ref}, nil)
		e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: id("watched")}, nil)
		e.AfterRun(id("watched"))
		e.Run(testproto.RunParams{RunID: id("covered"), Kind: "coverage", Include: ref})
		e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: id("debugged"), Kind: "debug", Include: ref}, nil)
		e.After(testproto.MethodDebugAttach, func(said []json.RawMessage) bool { return len(said) > n })
		e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: id("debugged")}, nil)
		e.AfterRun(id("debugged"))
		e.Notify("workspace/didChangeWorkspaceFolders", map[string]any{"event": map[string]any{"added": folder, "removed": []any{}}})
		e.Run(testproto.RunParams{RunID: id("other"), Kind: "run", Include: []testproto.Ref{{Root: "file://" + other, ID: "."}}})
		e.Notify("workspace/didChangeWorkspaceFolders", map[string]any{"event": map[string]any{"added": []any{}, "removed": folder}})
		e.CloseFile("test_a.py")
		e.Synchronize()
	}
	// quiet ends processes that are kept for a next run: what is left is the
	// server's own.
	quiet := func() {
		t.Helper()
		if err := e.Command("dx-py.server.restartWorkers", nil, nil); err != nil {
			t.Error(err)
		}
		e.Synchronize()
	}
	const warm, rounds = 1, 4
	for n := range warm {
		round(n)
	}
	quiet()
	before := used(t)
	for n := warm; n < warm+rounds; n++ {
		round(n)
	}
	quiet()
	after := used(t)
	for began := time.Now(); after.goroutines > before.goroutines || after.descriptors > before.descriptors || after.processes > before.processes; after = used(t) {
		if time.Since(began) > 20*time.Second { // what ends beside has ended long ago
			t.Fatalf("%d rounds take %+v, not %+v", rounds, after, before)
		}
	}
}
