package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/server"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// withPython are options with an interpreter that has a pytest.
func withPython(t testing.TB, version string) server.Options {
	o := options
	o.Env = map[string]string{"PATH": os.Getenv("PATH"), "VIRTUAL_ENV": filepath.Dir(filepath.Dir(enginetest.Python(t, version)))}
	return o
}

// outline is a tree as text: indented by parents, with origin and state.
func outline(r testproto.DiscoverResult) []string {
	var out []string
	for _, it := range r.Tests {
		line := string(it.Kind) + " " + it.ID
		if it.Range != nil {
			line += fmt.Sprintf(" %d-%d", it.Range.Start.Line+1, it.Range.End.Line+1)
		}
		if it.Origin == testproto.Runtime {
			line += " runtime"
		}
		if it.State != "" {
			line += " " + string(it.State)
		}
		if it.Error != "" {
			line += " error: " + it.Error
		}
		out = append(out, line)
	}
	return out
}

func decode[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const computed = `import pytest


def values():
    return [ord(c) for c in open(__file__).read()[:2]]


@pytest.mark.parametrize("n", values())
def test_late(n):
    print("said", n)


class TestBox:
    @pytest.mark.slow
    @pytest.mark.parametrize("n", [1, 2])
    def test_cases(self, n):
        assert n == 1
`

func TestTreeIsLazyAndExact(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\nmarkers = slow\n", "test_b.py": computed, "sub/deep/test_a.py": "def test_a(): pass\n"})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	if diff := cmp.Diff(map[string]any{"dxPyTests": map[string]any{"version": 1., "coverage": true, "continuous": true, "debug": true}}, e.Initialized.Capabilities["experimental"]); diff != "" {
		t.Errorf("capabilities:\n%s", diff)
	}
	var all testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, nil, &all)
	want := []string{"dir .", "dir sub", "dir sub/deep", "file sub/deep/test_a.py", "file test_b.py"}
	if diff := cmp.Diff(want, outline(all)); diff != "" {
		t.Errorf("folders and files:\n%s", diff)
	}
	root := all.Tests[0].Root
	var below testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{Parent: &testproto.Ref{Root: root, ID: "test_b.py"}}, &below)
	want = []string{
		"function test_b.py::test_late 9-10", "class test_b.py::TestBox 13-17", "function test_b.py::TestBox::test_cases 16-17",
		"case test_b.py::TestBox::test_cases[1] 16-17", "case test_b.py::TestBox::test_cases[2] 16-17",
	}
	if diff := cmp.Diff(want, outline(below)); diff != "" {
		t.Errorf("a file:\n%s", diff)
	}
	if late := below.Tests[0]; !strings.Contains(late.Description, "computed-values") {
		t.Errorf("the description of a function whose cases are not known: %q", late.Description)
	}
	if cases := below.Tests[2]; cases.Parent != "test_b.py::TestBox" || !slices.Contains(cases.Tags, "slow") {
		t.Errorf("a method: %+v", cases)
	}
	var unknown testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{Parent: &testproto.Ref{Root: root, ID: "gone.py"}}, &unknown)
	if len(unknown.Tests) != 0 || len(unknown.ScopeIDs) != 1 {
		t.Errorf("an unknown ref answers %+v", unknown)
	}

	// a run shows the cases; they stay while their function does
	e.Open("test_b.py", computed)
	run := e.Run(testproto.RunParams{RunID: "one", Kind: "run", Include: []testproto.Ref{{Root: root, ID: "test_b.py"}}})
	if diff := cmp.Diff([]string{
		"test_b.py::TestBox::test_cases[1] passed", "test_b.py::TestBox::test_cases[2] failed", "test_b.py::test_late passed",
		"test_b.py::test_late[105] passed", "test_b.py::test_late[109] passed",
	}, run.States); diff != "" {
		t.Errorf("states:\n%s", diff)
	}
	if run.Ended.Outcome != "failed" || run.Ended.Totals["passed"] != 3 || run.Ended.Totals["failed"] != 1 {
		t.Errorf("ended: %+v", run.Ended)
	}
	if !strings.Contains(run.Output, "said 105\r\n") {
		t.Errorf("output %q", run.Output)
	}
	failed := run.Last["test_b.py::TestBox::test_cases[2]"].Messages[0]
	if failed.Actual != "2" || failed.Expected != "1" || failed.Location.Range.Start.Line != 16 || len(failed.Stack) != 1 {
		t.Errorf("a failure: %+v", failed)
	}
	late := func() (out []string) {
		e.Synchronize()
		var r testproto.DiscoverResult
		e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{URI: e.URI("test_b.py")}, &r)
		for _, line := range outline(r) {
			if strings.Contains(line, "test_late[") {
				out = append(out, line)
			}
		}
		return out
	}
	e.Change("test_b.py", len(computed), len(computed), "\n# at the end\n")
	if diff := cmp.Diff([]string{"case test_b.py::test_late[105] 9-10 runtime stale", "case test_b.py::test_late[109] 9-10 runtime stale"}, late()); diff != "" {
		t.Errorf("cases after an edit elsewhere:\n%s", diff)
	}
	at := strings.Index(computed, "print")
	e.Change("test_b.py", at, at, "pass; ")
	if got := late(); len(got) != 0 {
		t.Errorf("cases of a function that was edited: %q", got)
	}
}

// TestDiscoveredTestsFollow edits a buffer and the disk.
func TestDiscoveredTestsFollow(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
	e := lsptest.StartClient(t, dir, options, lsptest.Rich())
	e.Call(testproto.MethodDiscoverTests, nil, nil)
	last := func() []string {
		e.Synchronize()
		all := e.Said(testproto.MethodDiscoveredTests)
		if len(all) == 0 {
			return nil
		}
		r := decode[testproto.DiscoverResult](t, all[len(all)-1])
		out := outline(r)
		for _, x := range r.Removed {
			out = append(out, "- "+x.ID)
		}
		return out
	}
	e.Open("test_a.py", "def test_a(): pass\n")
	if diff := cmp.Diff([]string{"function test_a.py::test_a 1-1"}, last()); diff != "" {
		t.Errorf("an opened file:\n%s", diff)
	}
	e.Change("test_a.py", 0, 0, "def test_new(): pass\n")
	if diff := cmp.Diff([]string{"function test_a.py::test_new 1-1", "function test_a.py::test_a 2-2"}, last()); diff != "" {
		t.Errorf("an edited file:\n%s", diff)
	}
	n := len(e.Said(testproto.MethodDiscoveredTests))
	e.Notify("textDocument/didSave", map[string]any{"textDocument": map[string]any{"uri": e.URI("test_a.py")}})
	if last(); len(e.Said(testproto.MethodDiscoveredTests)) != n {
		t.Errorf("what has not changed is sent again")
	}
	if err := os.WriteFile(filepath.Join(dir, "test_b.py"), []byte("def test_b(): pass\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed := map[string]any{"changes": []any{map[string]any{"uri": e.URI("test_b.py"), "type": 1}}}
	e.Notify("workspace/didChangeWatchedFiles", changed)
	if diff := cmp.Diff([]string{"file test_b.py"}, last()); diff != "" {
		t.Errorf("a new file:\n%s", diff)
	}
	if err := os.Remove(filepath.Join(dir, "test_b.py")); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", changed)
	if diff := cmp.Diff([]string{"- test_b.py"}, last()); diff != "" {
		t.Errorf("a removed file:\n%s", diff)
	}
}

// TestEveryRunEnds has runs end in all ways there are.
func TestEveryRunEnds(t *testing.T) {
	dir := project(t, map[string]string{
		"pytest.ini": "[pytest]\n", "test_a.py": "import os\n\n\ndef test_a():\n    pass\n\n\ndef test_dies():\n    os._exit(3)\n\n\ndef test_z():\n    pass\n",
		"test_broken.py": "open('nothing_of_this_name')\n\n\ndef test_x():\n    pass\n",
		"test_slow.py":   "import time\n\n\ndef test_s():\n    open('started', 'w').close()\n    time.sleep(600)\n\n\ndef test_t(): pass\n",
	})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	ref := func(id string) []testproto.Ref { return []testproto.Ref{{Root: "file://" + dir, ID: id}} }

	crashed := e.Run(testproto.RunParams{RunID: "crash", Kind: "run", Include: ref("test_a.py")})
	if diff := cmp.Diff([]string{"test_a.py::test_a passed", "test_a.py::test_dies error", "test_a.py::test_z passed"}, crashed.States); diff != "" {
		t.Errorf("after a crash:\n%s", diff)
	}
	broken := e.Run(testproto.RunParams{RunID: "broken", Kind: "run", Include: ref("test_broken.py")})
	if diff := cmp.Diff([]string{"test_broken.py error", "test_broken.py::test_x cancelled"}, broken.States); diff != "" {
		t.Errorf("a file that cannot be imported:\n%s", diff)
	}
	if m := broken.Last["test_broken.py"].Messages; len(m) != 1 || !strings.Contains(m[0].Text.Value, "nothing_of_this_name") || m[0].Location.Range.Start.Line != 0 {
		t.Errorf("its message: %+v", m)
	}
	if broken.Ended.Outcome != "error" {
		t.Errorf("ended: %+v", broken.Ended)
	}

	if err := syscall.Mkfifo(filepath.Join(dir, "started"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "slow", Kind: "run", Include: ref("test_slow.py")}, nil)
	if err := e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "slow", Kind: "run"}, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second run of the same id: %v", err)
	}
	f, err := os.Open(filepath.Join(dir, "started")) // until the test runs
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	e.After(testproto.MethodTestStates, func(all []json.RawMessage) bool {
		return slices.ContainsFunc(all, func(m json.RawMessage) bool {
			return slices.ContainsFunc(decode[testproto.StatesParams](t, m).Changes, func(c testproto.Change) bool {
				return c.Ref.ID == "test_slow.py::test_s" && c.State == testproto.Started
			})
		})
	})
	e.Call(testproto.MethodCancelRun, testproto.CancelParams{RunID: "slow"}, nil)
	slow := e.AfterRun("slow")
	if slow.Ended.Outcome != "cancelled" {
		t.Errorf("a cancelled run ended %+v", slow.Ended)
	}
	if diff := cmp.Diff([]string{"test_slow.py::test_s cancelled", "test_slow.py::test_t cancelled"}, slow.States); diff != "" {
		t.Errorf("a cancelled run:\n%s", diff)
	}
	for _, p := range []testproto.RunParams{
		{Kind: "run"}, {RunID: "x", Kind: "coverage"}, {RunID: "x", Kind: "run", Continuous: true, Selection: "affected"}, {RunID: "x", Kind: "run", Selection: "affected"},
	} {
		if err := e.Try(testproto.MethodRunTests, p, nil); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
}

func TestExclude(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_b.py": computed, "test_c.py": "def test_a(): pass\ndef test_ab(): pass\n"})
	e := lsptest.StartClient(t, dir, withPython(t, "8.4.2"), lsptest.Rich())
	ref := func(id string) testproto.Ref { return testproto.Ref{Root: "file://" + dir, ID: id} }
	run := e.Run(testproto.RunParams{RunID: "1", Kind: "run", Exclude: []testproto.Ref{ref("test_c.py::test_a"), ref("test_b.py::TestBox"), ref("test_b.py::test_late[105]")}})
	if diff := cmp.Diff([]string{"test_b.py::test_late passed", "test_b.py::test_late[109] passed", "test_c.py::test_ab passed"}, run.States); diff != "" {
		t.Errorf("states:\n%s", diff)
	}
	none := e.Run(testproto.RunParams{RunID: "2", Kind: "run", Include: []testproto.Ref{ref("test_c.py")}, Exclude: []testproto.Ref{ref("test_c.py")}})
	if len(none.States) != 0 || none.Ended.Outcome != "passed" {
		t.Errorf("everything excluded: %+v", none)
	}
}

// TestStaleMarks edits the file of a result, in the buffer and on disk, and
// takes the edits back.
func TestStaleMarks(t *testing.T) {
	text := "def test_a(): pass\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	run := e.Run(testproto.RunParams{RunID: "1", Kind: "run"})
	if diff := cmp.Diff([]string{"test_a.py::test_a passed"}, run.States); diff != "" {
		t.Fatalf("states:\n%s", diff)
	}
	marks := func() (out []string) {
		e.Synchronize()
		for _, m := range e.Said(testproto.MethodTestStates) {
			if p := decode[testproto.StatesParams](t, m); p.RunID == "" {
				for _, c := range p.Changes {
					out = append(out, c.Ref.ID+" "+string(c.State))
				}
			}
		}
		return out
	}
	e.Open("test_a.py", text)
	if got := marks(); len(got) != 0 {
		t.Errorf("opening a file marks %q", got)
	}
	e.Change("test_a.py", 0, 0, "#\n")
	e.Change("test_a.py", 0, 0, "#\n")
	e.Change("test_a.py", 0, 4, "")
	want := []string{"test_a.py::test_a stale", "test_a.py::test_a passed"}
	if diff := cmp.Diff(want, marks()); diff != "" {
		t.Errorf("edits of the buffer:\n%s", diff)
	}
	e.CloseFile("test_a.py")
	if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte("#\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	if diff := cmp.Diff(append(want, want[0]), marks()); diff != "" {
		t.Errorf("an edit on disk:\n%s", diff)
	}
}

func TestSaveFirst(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	e.Open("test_a.py", "def test_a(): pass\ndef test_new(): pass\n")
	if err := e.Click("test_a.py", 2); err == nil || !strings.Contains(err.Error(), "save first") {
		t.Errorf("a test that is only in the buffer: %v", err)
	}
	var r testproto.RunResult
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "1", Kind: "run", Include: []testproto.Ref{{Root: "file://" + dir, ID: "test_a.py::test_new"}}}, &r)
	if len(r.Deselected) != 1 || !strings.Contains(r.Deselected[0].Reason, "save first") {
		t.Errorf("it is deselected: %+v", r)
	}
	if run := e.AfterRun("1"); run.Ended.Outcome != "error" || !strings.Contains(run.Ended.Message, "save first") {
		t.Errorf("ended: %+v", run.Ended)
	}
}

// TestResolveAndExplain runs the command line that it is told.
func TestResolveAndExplain(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_b.py": computed})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	ref := testproto.Ref{Root: "file://" + dir, ID: "test_b.py::TestBox::test_cases[1]"}
	var r *testproto.ResolveResult
	e.Call(testproto.MethodResolveTestRun, testproto.ResolveParams{Ref: ref, Args: []string{"-q"}}, &r)
	if r == nil || r.Cwd != dir || !slices.Equal(r.Args[1:], []string{"-q", filepath.Join(dir, "test_b.py") + "::TestBox::test_cases[1]"}) {
		t.Fatalf("resolved to %+v", r)
	}
	cmd := exec.Command(r.Program, r.Args...)
	cmd.Dir = r.Cwd
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "1 passed") {
		t.Errorf("running it: %v\n%s", err, out)
	}
	if err := e.Try(testproto.MethodResolveTestRun, testproto.ResolveParams{Ref: ref, Debug: true}, nil); err == nil || !strings.Contains(err.Error(), "pip install debugpy") {
		t.Errorf("without debugpy: %v", err)
	}
	ref.ID = "test_b.py::test_gone"
	r = nil
	e.Call(testproto.MethodResolveTestRun, testproto.ResolveParams{Ref: ref}, &r)
	var why *testproto.ExplainResult
	e.Call(testproto.MethodExplain, testproto.ExplainParams{Ref: ref}, &why)
	if r != nil || why != nil {
		t.Errorf("an unknown ref: %+v, %+v", r, why)
	}
	ref.ID = "test_b.py::test_late"
	e.Run(testproto.RunParams{RunID: "1", Kind: "run", Include: []testproto.Ref{{Root: ref.Root, ID: "test_b.py::test_late"}}})
	e.Call(testproto.MethodExplain, testproto.ExplainParams{Ref: ref}, &why)
	if why == nil || !strings.Contains(fmt.Sprint(why.Reasons), "line 8") || !strings.Contains(fmt.Sprint(why.Reasons), "computed-values") {
		t.Errorf("explained as %+v", why)
	}
}

// TestConfigurationBelow runs a file below another configuration than the
// folder's: pytest takes that one's folder for the rootdir, and ids relative
// to it.
func TestConfigurationBelow(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "pkg/pytest.ini": "[pytest]\n", "pkg/tests/test_a.py": "def test_a(): pass\n\n\ndef test_b(): assert 0\n"})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	run := e.Run(testproto.RunParams{RunID: "1", Kind: "run", Include: []testproto.Ref{{Root: "file://" + dir, ID: "pkg/tests/test_a.py"}}})
	if diff := cmp.Diff([]string{"pkg/tests/test_a.py::test_a passed", "pkg/tests/test_a.py::test_b failed"}, run.States); diff != "" {
		t.Errorf("states:\n%s", diff)
	}
	if at := run.Last["pkg/tests/test_a.py::test_b"].Messages[0].Location; at.URI != e.URI("pkg/tests/test_a.py") || at.Range.Start.Line != 3 {
		t.Errorf("the failure is at %+v", at)
	}
	e.Open("pkg/tests/test_a.py", "def test_a(): pass\n\n\ndef test_b(): assert 0\n")
	if lens := e.Lenses("pkg/tests/test_a.py"); !strings.Contains(lens[2], "✗ failed") {
		t.Errorf("lenses %q", lens)
	}
}

// TestSubtests lists failing subtests under their test.
func TestSubtests(t *testing.T) {
	text := "import unittest\n\n\nclass TestBox(unittest.TestCase):\n    def test_many(self):\n        for n in range(2):\n            with self.subTest(\"part\", n=n):\n                self.assertEqual(n, 0)\n"
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": text})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	run := e.Run(testproto.RunParams{RunID: "1", Kind: "run"})
	if diff := cmp.Diff([]string{"test_a.py::TestBox::test_many [part] (n=0) passed", "test_a.py::TestBox::test_many [part] (n=1) failed", "test_a.py::TestBox::test_many failed"}, run.States); diff != "" {
		t.Errorf("states:\n%s", diff)
	}
	shown := decode[testproto.DiscoverResult](t, e.Said(testproto.MethodDiscoveredTests)[0]).Tests
	if len(shown) != 2 || shown[1].Kind != testproto.Subtest || shown[1].Parent != "test_a.py::TestBox::test_many" || shown[1].Label != "[part] (n=1)" {
		t.Errorf("the subtests are shown as %+v", shown)
	}
	var all testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{URI: e.URI("test_a.py")}, &all)
	if diff := cmp.Diff([]string{"class test_a.py::TestBox 4-8", "function test_a.py::TestBox::test_many 5-8 failed",
		"subtest test_a.py::TestBox::test_many [part] (n=0) runtime passed", "subtest test_a.py::TestBox::test_many [part] (n=1) runtime failed"}, outline(all)); diff != "" {
		t.Errorf("the tree after the run:\n%s", diff)
	}
}

// TestCasesComeBeforeStates runs a file that is not open: the client is told of
// cases before it is told how they stand.
func TestCasesComeBeforeStates(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_b.py": computed})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	run := func(id, ref string) {
		e.Run(testproto.RunParams{RunID: id, Kind: "run", Include: []testproto.Ref{{Root: "file://" + dir, ID: ref}}})
	}
	run("1", "test_b.py")
	known := map[string]bool{"test_b.py::test_late": true, "test_b.py::TestBox::test_cases[1]": true, "test_b.py::TestBox::test_cases[2]": true}
	for _, m := range e.All() {
		switch m.Method {
		case testproto.MethodDiscoveredTests:
			for _, it := range decode[testproto.DiscoverResult](t, m.Params).Tests {
				known[it.ID] = true
			}
		case testproto.MethodTestStates:
			for _, c := range decode[testproto.StatesParams](t, m.Params).Changes {
				if !known[c.Ref.ID] {
					t.Errorf("%s is %s before it is discovered", c.Ref.ID, c.State)
				}
			}
		}
	}
	n := len(e.Said(testproto.MethodDiscoveredTests))
	run("2", "test_b.py::test_late[105]")
	if got := len(e.Said(testproto.MethodDiscoveredTests)); n != 1 || got != n {
		t.Errorf("%d, then %d messages of discovered tests", n, got)
	}
	var all testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, testproto.DiscoverParams{URI: e.URI("test_b.py")}, &all)
	if !slices.Contains(outline(all), "case test_b.py::test_late[109] 9-10 runtime passed") {
		t.Errorf("a run of one case has removed the other: %q", outline(all))
	}
}
