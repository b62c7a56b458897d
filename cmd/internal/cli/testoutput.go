package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// github is the sink for a step on GitHub.
func (p *program) github(r *engine.Request) (hub *report.GitHub, done func(), err error) {
	hub = &report.GitHub{Out: p.stderr}
	if top := p.env["GITHUB_WORKSPACE"]; top != "" {
		if rel, in := file.Rel(filepath.Clean(top), r.Root); in && rel != "." {
			hub.Prefix = rel + "/"
		}
	}
	r.Texts = true
	path := p.env["GITHUB_STEP_SUMMARY"]
	if path == "" {
		return hub, func() {}, nil
	}
	summary, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("writing the step's summary: %w", err)
	}
	hub.Summary = summary
	return hub, func() { summary.Close() }, nil
}

// nothingDue ends a run that has nothing to do.
func (p *program) nothingDue(f testFlags, unchanged int) error {
	if f.format == "jsonl" {
		lines := report.NewJSONL(p.stdout)
		lines.Event(run.Event{Started: &run.Started{Workers: 1, Mode: "fast"}})
		lines.Event(run.Event{Ended: &run.Ended{Unchanged: unchanged}})
		return lines.Err
	}
	fmt.Fprintln(p.stdout, unchangedLine(0, unchanged, f.since))
	return nil
}

// results are those of a run.
type results []pytest.Result

// Event keeps a result.
func (r *results) Event(e run.Event) {
	if e.Test != nil {
		*r = append(*r, *e.Test)
	}
}

// footer says how the tests were run: what pytest's last line cannot say
// always, the rest on a terminal.
func (p *program) footer(f *report.Footer, out *os.File) {
	if flaky := f.Flaky(); flaky != "" {
		fmt.Fprintf(p.stdout, "%s\n", flaky)
	}
	if line := f.Line(); line != "" && isTerminal(out) {
		dim, reset := "", ""
		if p.color() {
			dim, reset = "\x1b[2m", "\x1b[0m"
		}
		fmt.Fprintf(p.stdout, "%s · %s%s\n", dim, line, reset)
	}
}

// needPytest says which files hold tests that unittest has not run.
func (p *program) needPytest(ws *workspace.Workspace, env *pyenv.Env) {
	suite, err := ws.Apply(workspace.Update{}).Suite()
	if err != nil {
		return // said by the run
	}
	var files []string
	for _, x := range suite.Problems {
		if strings.HasSuffix(x.Message, env.NoPytest()) {
			files = append(files, relative(p.dir, x.Path))
		}
	}
	switch n := len(files); {
	case n == 1:
		fmt.Fprintf(p.stderr, "%s has tests that need pytest: %s\n", files[0], env.NoPytest())
	case n > 1:
		fmt.Fprintf(p.stderr, "%s and %d more have tests that need pytest: %s\n", files[0], n-1, env.NoPytest())
	}
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// asFile returns the file behind a stream, nil when there is none.
func asFile(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}
