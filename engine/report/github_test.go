package report_test

import (
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// TestGitHub writes a failure as one command however its text looks, and a
// table that the text does not break.
func TestGitHub(t *testing.T) {
	var out, summary strings.Builder
	g := &report.GitHub{Out: &out, Summary: &summary, Prefix: "sub/"}
	for range 12 {
		g.Event(run.Event{Test: &pytest.Result{
			ID: "t.py::test[a,b:c]", Path: "t.py", FailLine: 3, Outcome: pytest.Failed, Message: "assert 1 == 2\n::error::100% | <b>",
		}})
	}
	g.Event(run.Event{Test: &pytest.Result{ID: "t.py::ok", Outcome: pytest.Passed}})
	g.Event(run.Event{Ended: &run.Ended{Totals: map[pytest.Outcome]int{pytest.Passed: 1, pytest.Failed: 12}, Seconds: 1.25, Flaky: []string{"t.py::f"}}})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 11 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	if want := "::error file=sub/t.py,line=3,title=t.py%3A%3Atest[a%2Cb%3Ac]::assert 1 == 2%0A::error::100%25 | <b>"; lines[0] != want {
		t.Errorf("%s\nwant\n%s", lines[0], want)
	}
	if want := "::warning::2 more failures are in the log"; lines[10] != want {
		t.Errorf("%s, want %s", lines[10], want)
	}
	for _, want := range []string{"### Tests: 1 passed, 12 failed in 1.2s", "| `t.py::test[a,b:c]` | sub/t.py:3 | assert 1 == 2 |", "flaky: `t.py::f`"} {
		if !strings.Contains(summary.String(), want) {
			t.Errorf("%q is not in\n%s", want, summary.String())
		}
	}
}
