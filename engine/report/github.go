package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// maxAnnotations is how many failures are written as annotations: GitHub shows
// ten errors of a step and drops the rest.
const maxAnnotations = 10

// GitHub writes failures as workflow commands, which become annotations at
// their lines, and a summary of the step in Markdown. (GitHub's
// documentation: "Workflow commands", "Adding a job summary".)
type GitHub struct {
	Out     io.Writer // the log, where commands are read from
	Summary io.Writer // what GITHUB_STEP_SUMMARY names; nil for none
	Prefix  string    // of the root within the repository, with a slash at its end; "" for the same

	failed []pytest.Result
}

// Event keeps failures and writes all at the end.
func (g *GitHub) Event(e run.Event) {
	switch {
	case e.Test != nil && e.Test.Outcome.Bad():
		g.failed = append(g.failed, *e.Test)
	case e.Ended != nil:
		g.end(e.Ended)
	}
}

func (g *GitHub) end(e *run.Ended) {
	for i, r := range g.failed {
		if i == maxAnnotations {
			fmt.Fprintf(g.Out, "::warning::%d more failures are in the log\n", len(g.failed)-i)
			break
		}
		fmt.Fprintf(g.Out, "::error file=%s,line=%d,title=%s::%s\n", property(g.Prefix+r.Path), r.FailLine, property(r.ID), data(r.Message))
	}
	if g.Summary == nil {
		return
	}
	var b strings.Builder
	for o := pytest.Passed; o <= pytest.Failed; o++ {
		if n := e.Totals[o]; n > 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d %s", n, o)
		}
	}
	fmt.Fprintf(g.Summary, "### Tests: %s in %.1fs\n\n", b.String(), e.Seconds)
	if len(g.failed) > 0 {
		fmt.Fprintf(g.Summary, "| failed | at | |\n| --- | --- | --- |\n")
		for _, r := range g.failed {
			line, _, _ := strings.Cut(r.Message, "\n")
			fmt.Fprintf(g.Summary, "| `%s` | %s:%d | %s |\n", cell(r.ID), cell(g.Prefix+r.Path), r.FailLine, cell(line))
		}
	}
	for _, id := range e.Flaky {
		fmt.Fprintf(g.Summary, "\nflaky: `%s`\n", cell(id))
	}
}

// data and property escape the parts of a workflow command, as its own
// toolkit does.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// cell is text in a row of a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;").Replace(s)
}
