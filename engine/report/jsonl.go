// Package report is how a run is told to people and programs.
package report

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// JSONLVersion is the version of the lines' format.
const JSONLVersion = 1

// maxText is how much of a text is kept in a line; the middle goes.
const maxText = 8 << 10

// JSONL writes one JSON object a line, flushed as it happens. Its lines are
// described by testdata/schema/run.schema.json.
type JSONL struct {
	out    *bufio.Writer
	failed []string
	Err    error // the first error of writing
}

// NewJSONL writes to w.
func NewJSONL(w io.Writer) *JSONL { return &JSONL{out: bufio.NewWriter(w)} }

type location struct {
	Path string `json:"path"`
	Line int    `json:"line"`
}

type testLine struct {
	Event     string    `json:"event"`
	ID        string    `json:"id"`
	Outcome   string    `json:"outcome"`
	Phase     string    `json:"phase,omitempty"`
	Duration  float64   `json:"duration_ms"`
	Worker    int       `json:"worker"`
	Attempt   int       `json:"attempt"`
	Flaky     bool      `json:"flaky,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Message   string    `json:"message,omitempty"`
	Location  *location `json:"location,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
	Stdout    string    `json:"stdout,omitempty"`
	Stderr    string    `json:"stderr,omitempty"`
	Log       string    `json:"log,omitempty"`
	Truncated bool      `json:"truncated,omitempty"`
}

// Event writes an event's line.
func (j *JSONL) Event(e run.Event) {
	switch {
	case e.Started != nil:
		j.line(map[string]any{"event": "run_started", "format": JSONLVersion, "version": e.Started.Version, "tests": e.Started.Tests,
			"mode": e.Started.Mode, "workers": e.Started.Workers})
	case e.Attempt != nil:
		j.test(e.Attempt, false)
	case e.Test != nil:
		j.test(e.Test, true)
	case e.Problem != nil:
		j.line(map[string]any{"event": "problem", "path": "", "line": 0, "message": e.Problem.Message})
	case e.Ended != nil:
		totals := map[string]int{}
		for o, n := range e.Ended.Totals {
			totals[o.String()] = n
		}
		end := map[string]any{"event": "run_ended", "outcome": outcome(e.Ended), "status": e.Ended.Status, "totals": totals,
			"not_run": e.Ended.NotRun, "unchanged": e.Ended.Unchanged, "seconds": e.Ended.Seconds,
			"ran": e.Ended.Ran, "worker_wall": e.Ended.Wall, "worker_cpu": e.Ended.CPU}
		if len(j.failed) > 0 {
			end["rerun"] = "dx-py test " + shellWords(j.failed)
		}
		j.line(end)
	}
}

func outcome(e *run.Ended) string {
	switch {
	case e.Status == 0:
		return "passed"
	case e.Status == 5:
		return "no tests"
	case e.Status == 2 || e.Status == 130: // pytest's; unittest ends by SIGINT
		return "interrupted"
	}
	return "failed"
}

// test writes a result; last says that the test will not run again.
func (j *JSONL) test(r *pytest.Result, last bool) {
	for _, s := range r.Subtests {
		j.line(map[string]any{"event": "subtest", "id": r.ID, "message": s.Message, "kwargs": s.Kwargs, "outcome": s.Outcome.String()})
	}
	l := testLine{Event: "test", ID: r.ID, Outcome: r.Outcome.String(), Phase: r.Phase.String(), Duration: r.Seconds() * 1e3, Worker: r.Worker, Attempt: max(r.Attempt, 1), Flaky: r.Flaky}
	if r.Outcome.Bad() {
		if last {
			j.failed = append(j.failed, r.ID)
		}
		l.Message = l.cut(r.Message)
		l.Location = &location{r.Path, r.FailLine}
		l.Traceback = l.cut(r.Text)
	} else if r.Outcome != pytest.Passed {
		l.Reason = l.cut(r.Message)
	}
	for _, s := range r.Sections {
		switch {
		case strings.HasPrefix(s.Title, "Captured stdout"):
			l.Stdout = l.cut(l.Stdout + s.Text)
		case strings.HasPrefix(s.Title, "Captured stderr"):
			l.Stderr = l.cut(l.Stderr + s.Text)
		case strings.HasPrefix(s.Title, "Captured log"):
			l.Log = l.cut(l.Log + s.Text)
		}
	}
	j.line(l)
}

// cut takes the middle out of a long text.
func (l *testLine) cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	l.Truncated = true
	return strings.ToValidUTF8(s[:maxText/2], "") + "\n[...]\n" + strings.ToValidUTF8(s[len(s)-maxText/2:], "")
}

func (j *JSONL) line(v any) {
	enc := json.NewEncoder(j.out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if e := j.out.Flush(); err == nil {
		err = e
	}
	if j.Err == nil {
		j.Err = err
	}
}

// shellWords quotes words for a shell.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if strings.ContainsAny(w, " '\"\\$`[](){}*?!&;|<>#~\t\n") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
