package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

var calculator = map[string]string{
	"pytest.ini": "[pytest]\n", "calc.py": "import deep\n\n\ndef one():\n    return deep.VALUE\n", "deep.py": "VALUE = 1\n",
	"test_calc.py":  "import calc\n\n\nclass TestCalc:\n    def test_one(self):\n        assert calc.one() == 1\n",
	"test_other.py": "def test_other():\n    pass\n\n\ndef test_bad():\n    assert 0\n",
}

// TestRunAffected runs only what is due, by dx-py/runTests and by the lens.
func TestRunAffected(t *testing.T) {
	dir := settled(t, calculator)
	e := lsptest.StartClient(t, dir, stateful(t), lsptest.Rich())
	e.Open("test_calc.py", calculator["test_calc.py"])
	e.Open("test_other.py", calculator["test_other.py"])
	e.Synchronize()
	for _, lens := range e.Lenses("test_calc.py") {
		if strings.Contains(lens, "affected") {
			t.Errorf("lens %q though nothing is known", lens)
		}
	}
	all := e.Run(testproto.RunParams{RunID: "one", Kind: "run", Selection: "affected"})
	if len(all.States) != 3 {
		t.Errorf("of a project of which nothing is known %q ran", all.States)
	}
	e.Synchronize()
	if lenses := e.Lenses("test_calc.py"); len(lenses) != 3 {
		t.Errorf("lenses of a file of which nothing is due: %q", lenses)
	}
	if lenses := e.Lenses("test_other.py"); lenses[1] != "1: Run affected" {
		t.Errorf("lenses of a file with a failure: %q", lenses)
	}

	if err := os.WriteFile(filepath.Join(dir, "deep.py"), []byte("VALUE = 2 - 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	e.Synchronize()
	lenses := e.Lenses("test_calc.py")
	if len(lenses) != 5 || lenses[1] != "1: Run affected" || lenses[3] != "4: Run affected" {
		t.Errorf("lenses of a file that is due: %q", lenses)
	}
	var why testproto.ExplainResult
	ref := testproto.Ref{Root: "file://" + dir, ID: "test_calc.py::TestCalc::test_one"}
	e.Call(testproto.MethodExplain, testproto.ExplainParams{Ref: ref}, &why)
	var hover struct{ Contents struct{ Value string } }
	e.Call("textDocument/hover", e.At("test_calc.py", "def |test_one"), &hover)
	if !strings.Contains(hover.Contents.Value, "\n\ndue: deep.py changed") {
		t.Errorf("hover of a test that is due: %q", hover.Contents.Value)
	}
	want := testproto.Reason{Text: "due: deep.py changed", Path: []string{e.URI("test_calc.py"), e.URI("calc.py"), e.URI("deep.py")}}
	if diff := cmp.Diff(want, why.Reasons[len(why.Reasons)-1]); diff != "" {
		t.Errorf("explain:\n%s", diff)
	}

	var answer testproto.RunResult
	e.Call(testproto.MethodRunTests, testproto.RunParams{RunID: "two", Kind: "run", Selection: "affected"}, &answer)
	two := e.AfterRun("two")
	if diff := cmp.Diff([]string{"test_calc.py::TestCalc::test_one passed", "test_other.py::test_bad failed"}, two.States); diff != "" {
		t.Errorf("what ran:\n%s", diff)
	}
	if len(answer.Enqueued) != 2 || len(answer.Deselected) != 1 || answer.Deselected[0].Ref.ID != "test_other.py::test_other" ||
		!strings.HasPrefix(answer.Deselected[0].Reason, "unchanged") {
		t.Errorf("answer %+v", answer)
	}
	if got := below(t, e, "test_other.py"); !slices.Contains(got, "function test_other.py::test_other 1-2 passed") {
		t.Errorf("a result that was not due is lost: %q", got)
	}
	none := e.Run(testproto.RunParams{RunID: "three", Kind: "run", Selection: "affected", Include: []testproto.Ref{{Root: ref.Root, ID: "test_calc.py"}}})
	if none.Ended.Outcome != "passed" || len(none.States) != 0 {
		t.Errorf("nothing is due: %+v", none)
	}

	var said struct{ Totals map[string]int }
	if err := e.Command("dx-py.server.runAffected", nil, &said); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"failed": 1}, said.Totals); diff != "" {
		t.Errorf("the command:\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "test_broken.py"), []byte("def ("), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := e.Run(testproto.RunParams{RunID: "four", Kind: "run", Selection: "affected"})
	if !slices.Contains(broken.States, "test_other.py::test_bad failed") || broken.Ended.Outcome == "passed" {
		t.Errorf("with a broken file: %+v", broken)
	}
}
