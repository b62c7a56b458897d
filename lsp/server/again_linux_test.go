package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// afterStates waits until the last states that a run has told of some tests
// are these.
func afterStates(t testing.TB, e *lsptest.Editor, run string, want map[string]testproto.State) {
	t.Helper()
	e.After(testproto.MethodTestStates, func(all []json.RawMessage) bool {
		last := map[string]testproto.State{}
		for _, raw := range all {
			if p := decode[testproto.StatesParams](t, raw); p.RunID == run {
				for _, c := range p.Changes {
					last[c.Ref.ID] = c.State
				}
			}
		}
		for id, state := range want {
			if last[id] != state {
				return false
			}
		}
		return true
	})
}

// restarted waits for the n-th restart of a run: "ID" for what runs, then
// "< FILE" for why.
func restarted(t testing.TB, e *lsptest.Editor, n int) (out []string) {
	t.Helper()
	e.After(testproto.MethodRunRestarted, func(all []json.RawMessage) bool {
		if len(all) < n {
			return false
		}
		p := decode[testproto.RestartedParams](t, all[n-1])
		for _, ref := range p.Enqueued {
			out = append(out, ref.ID)
		}
		for _, u := range p.Cause {
			out = append(out, "< "+filepath.Base(u))
		}
		return true
	})
	return out
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestContinuous edits files on disk while a continuous run waits: what depends
// on them runs again.
func TestContinuous(t *testing.T) {
	dir := settled(t, calculator)
	e := lsptest.StartClient(t, dir, stateful(t), lsptest.Rich())
	e.Synchronize() // edits are seen
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "c", Kind: "run", Continuous: true}, nil)
	one, other, bad := "test_calc.py::TestCalc::test_one", "test_other.py::test_other", "test_other.py::test_bad"
	afterStates(t, e, "c", map[string]testproto.State{one: testproto.Passed, other: testproto.Passed, bad: testproto.Failed})
	e.Synchronize() // a run that waits is none under way

	write(t, dir, "deep.py", "VALUE = 2\n")
	if diff := cmp.Diff([]string{one, "< deep.py"}, restarted(t, e, 1)); diff != "" {
		t.Errorf("after an edit of a module:\n%s", diff)
	}
	afterStates(t, e, "c", map[string]testproto.State{one: testproto.Failed})
	e.Synchronize()
	write(t, dir, "test_other.py", "def test_other():\n    pass\n")
	if diff := cmp.Diff([]string{other, "< test_other.py"}, restarted(t, e, 2)); diff != "" {
		t.Errorf("after an edit of a test:\n%s", diff)
	}
	e.Synchronize()
	if ended := e.Said(testproto.MethodRunEnded); len(ended) != 0 {
		t.Errorf("the run ended by itself: %s", ended)
	}
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "c"}, nil)
	e.After(testproto.MethodRunEnded, func(all []json.RawMessage) bool { return len(all) == 1 })
	if p := decode[testproto.EndedParams](t, e.Said(testproto.MethodRunEnded)[0]); p.RunID != "c" || p.Outcome != "cancelled" {
		t.Errorf("ended %+v", p)
	}
}

// TestContinuousIsCut edits what a test depends on while it runs.
func TestContinuousIsCut(t *testing.T) {
	dir := settled(t, map[string]string{
		"pytest.ini": "[pytest]\n", "pause.py": "SECONDS = 600\n",
		"test_a.py": "import time\n\nimport pause\n\n\ndef test_a():\n    if pause.SECONDS:\n        open('started', 'w').close()\n    time.sleep(pause.SECONDS)\n",
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "started"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := lsptest.StartClient(t, dir, stateful(t), lsptest.Rich())
	e.Synchronize()
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "c", Kind: "run", Continuous: true}, nil)
	f, err := os.Open(filepath.Join(dir, "started")) // until the test runs
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	write(t, dir, "pause.py", "SECONDS = 0\n")
	if diff := cmp.Diff([]string{"test_a.py::test_a", "< pause.py"}, restarted(t, e, 1)); diff != "" {
		t.Errorf("after the edit:\n%s", diff)
	}
	afterStates(t, e, "c", map[string]testproto.State{"test_a.py::test_a": testproto.Passed})
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "c"}, nil)
	e.After(testproto.MethodRunEnded, func(all []json.RawMessage) bool { return len(all) == 1 })
}

// TestContinuousIgnoresItsOwnFiles has a test write a file of the project: that
// restarts nothing, an edit does.
func TestContinuousIgnoresItsOwnFiles(t *testing.T) {
	dir := settled(t, map[string]string{
		"pytest.ini": "[pytest]\n", "mod.py": "A = 1\n",
		"test_a.py": "import os\n\nimport mod\n\n\ndef test_a():\n    with open('report.txt', 'w') as f:\n        f.write(os.urandom(8).hex())\n",
	})
	e := lsptest.StartClient(t, dir, stateful(t), lsptest.Rich())
	e.Synchronize()
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "c", Kind: "run", Continuous: true}, nil)
	afterStates(t, e, "c", map[string]testproto.State{"test_a.py::test_a": testproto.Passed})
	e.Synchronize()
	e.Synchronize() // what the test wrote is taken in
	write(t, dir, "mod.py", "A = 2\n")
	if diff := cmp.Diff([]string{"test_a.py::test_a", "< mod.py"}, restarted(t, e, 1)); diff != "" {
		t.Errorf("the first restart:\n%s", diff)
	}
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "c"}, nil)
	e.After(testproto.MethodRunEnded, func(all []json.RawMessage) bool { return len(all) == 1 })
}
