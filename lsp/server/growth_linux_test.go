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

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
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

// TestDay lets a day go by: each hour somebody edits, a continuous run follows,
// they run tests and go away for as long as makes everything old. Then no process
// is left, and what the server holds is what it held behind the first hour.
func TestDay(t *testing.T) {
	const text = "def test_a():\n    assert 1\n\n\ndef test_b():\n    assert 0\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	clock := &enginetest.Clock{}
	one := engine.Timed(clock)
	defer one.Close()
	opts := options
	opts.StateDir = t.TempDir()
	opts.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, "9.2.0")))}
	opts.Engine = func(string) *engine.Engine { return one }
	e := lsptest.StartClient(t, dir, opts, lsptest.Rich())
	e.Open("test_a.py", text)
	ref := []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py"}}
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "day", Kind: "run", Continuous: true, Include: ref}, nil)
	e.Synchronize()
	hour := func(n int) (quiet use) {
		t.Helper()
		next := strings.Replace(e.Text("test_a.py"), "assert 1", "assert 1 ", 1)
		for range 20 {
			at := strings.Index(e.Text("test_a.py"), "assert 1") + 8
			e.Change("test_a.py", at, at, " ")
			e.Lenses("test_a.py")
		}
		if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(next), 0o644); err != nil {
			t.Fatal(err)
		}
		e.After(testproto.MethodRunRestarted, func(said []json.RawMessage) bool { return len(said) > n })
		e.Synchronize()
		if r := e.Run(testproto.RunParams{RunID: strconv.Itoa(n), Kind: "run", Include: ref}); r.Ended.Totals["failed"] != 1 || r.Ended.Totals["passed"] != 1 {
			t.Errorf("%+v", r.Ended)
		}
		clock.Advance(9 * time.Minute)
		if u := used(t); u.processes == 0 {
			t.Errorf("hour %d: nothing is kept for the next run", n)
		}
		clock.Advance(51 * time.Minute)
		for began := time.Now(); ; {
			quiet = used(t)
			if quiet.processes == 0 {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("hour %d: %+v though nobody has run anything for an hour", n, quiet)
			}
		}
		if n := clock.Alarms(); n > 1 {
			t.Errorf("%d alarms are set", n)
		}
		return quiet
	}
	before := hour(0)
	var after use
	for n := 1; n < 24; n++ {
		after = hour(n)
	}
	for began := time.Now(); after.goroutines > before.goroutines || after.descriptors > before.descriptors; after = used(t) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("a day takes %+v, not %+v", after, before)
		}
	}
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "day"}, nil)
	e.Synchronize()
}
