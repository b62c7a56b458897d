// Package verify proves on a user's own suite that the answers are pytest's: it
// runs plain pytest twice, what differs there is flaky, then this engine cold,
// warm and with several workers.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// Answer is what one run said.
type Answer struct {
	Name     string
	Status   int
	Outcomes map[string]pytest.Outcome
	Order    []string // the ids as they ended
	Seconds  float64
	Note     string // why it ran otherwise than asked for
}

// Difference is how an answer differs from plain pytest's.
type Difference struct {
	Missing, Extra, Outcomes []string // ids; of outcomes with both
	Order                    bool     // of tests that both ran; never set with several workers
	Status                   bool
}

// Count is the number of differences.
func (d *Difference) Count() int {
	n := len(d.Missing) + len(d.Extra) + len(d.Outcomes)
	if d.Order {
		n++
	}
	if d.Status {
		n++
	}
	return n
}

// Step tells that a run begins.
type Step func(name string)

// Report is what verify found.
type Report struct {
	Plain    Answer
	Flaky    []string // ids whose outcome differs between two plain runs
	Answers  []Answer // cold, warm, several workers
	Differ   []Difference
	Parallel bool // the last answer is of several workers, and the same
}

// Differences counts those of the answers with one worker.
func (r *Report) Differences() (n int) {
	for i := range r.Differ[:2] {
		n += r.Differ[i].Count()
	}
	return n
}

// Verify runs all. The error says why pytest, or the engine, could not run.
func Verify(ctx context.Context, r engine.Request, workers int, step Step) (*Report, error) {
	r.Stdout, r.Stderr, r.Stdin = nil, nil, nil
	if err := r.Check(); err != nil {
		return nil, err
	}
	rep := &Report{}
	var err error
	step("pytest")
	if rep.Plain, err = plain(ctx, r); err != nil {
		return nil, err
	}
	step("pytest again")
	again, err := plain(ctx, r)
	if err != nil {
		return nil, err
	}
	for id, o := range rep.Plain.Outcomes {
		if other, both := again.Outcomes[id]; !both || other != o {
			rep.Flaky = append(rep.Flaky, id)
		}
	}
	for id := range again.Outcomes {
		if _, both := rep.Plain.Outcomes[id]; !both {
			rep.Flaky = append(rep.Flaky, id)
		}
	}
	slices.Sort(rep.Flaky)

	e := &engine.Engine{}
	defer e.Close()
	ours := func(name string, on *engine.Engine, workers int) error {
		step(name)
		r.Workers = workers
		a, err := answer(ctx, on, r)
		if err != nil {
			return err
		}
		a.Name = name
		rep.Answers = append(rep.Answers, a)
		rep.Differ = append(rep.Differ, rep.compare(a, workers == 1))
		return nil
	}
	if err := ours("cold", nil, 1); err != nil {
		return nil, err
	}
	if _, err := answer(ctx, e, r); err != nil { // what the warm one finds
		return nil, err
	}
	if err := ours("warm", e, 1); err != nil {
		return nil, err
	}
	if workers > 1 {
		if err := ours(fmt.Sprintf("%d workers", workers), nil, workers); err != nil {
			return nil, err
		}
		last := len(rep.Answers) - 1
		rep.Parallel = rep.Answers[last].Note == "" && rep.Differ[last].Count() == 0
	}
	return rep, nil
}

// compare finds the differences of an answer that are not flaky.
func (r *Report) compare(a Answer, ordered bool) (d Difference) {
	flaky := map[string]bool{}
	for _, id := range r.Flaky {
		flaky[id] = true
	}
	for id, want := range r.Plain.Outcomes {
		got, both := a.Outcomes[id]
		switch {
		case flaky[id]:
		case !both:
			d.Missing = append(d.Missing, id)
		case got != want:
			d.Outcomes = append(d.Outcomes, fmt.Sprintf("%s: pytest %s, here %s", id, want, got))
		}
	}
	for id := range a.Outcomes {
		if _, both := r.Plain.Outcomes[id]; !both && !flaky[id] {
			d.Extra = append(d.Extra, id)
		}
	}
	for _, list := range []*[]string{&d.Missing, &d.Extra, &d.Outcomes} {
		slices.Sort(*list)
	}
	if ordered && len(d.Missing)+len(d.Extra)+len(r.Flaky) == 0 {
		d.Order = !slices.Equal(r.Plain.Order, a.Order)
	}
	d.Status = len(r.Flaky) == 0 && a.Status != r.Plain.Status
	return d
}

// collector is the sink of our runs.
type collector struct{ a Answer }

func (c *collector) Event(e run.Event) {
	switch {
	case e.Started != nil:
		c.a.Note = e.Started.Reason
	case e.Test != nil:
		c.a.Outcomes[e.Test.ID] = e.Test.Outcome
		c.a.Order = append(c.a.Order, e.Test.ID)
	}
}

func answer(ctx context.Context, e *engine.Engine, r engine.Request) (Answer, error) {
	c := &collector{Answer{Outcomes: map[string]pytest.Outcome{}}}
	began := time.Now()
	status, err := e.Run(ctx, r, c)
	c.a.Status, c.a.Seconds = status, time.Since(began).Seconds()
	return c.a, err
}

// plain runs the user's pytest, as its console script does, with a plugin that
// writes what became of each test.
func plain(ctx context.Context, r engine.Request) (a Answer, err error) {
	a = Answer{Name: "pytest", Outcomes: map[string]pytest.Outcome{}}
	dir, err := os.MkdirTemp("", "dx-verify-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "dx_plain.py"), []byte(pyworkers.Plain), 0o600); err != nil {
		return a, err
	}
	out := filepath.Join(dir, "out.json")
	bin := filepath.Dir(r.Env.Python)
	const program = "import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + '/pytest'; import pytest; sys.exit(pytest.main())"
	cmd := exec.CommandContext(ctx, r.Env.Python, append([]string{"-c", program, bin, "-p", "dx_plain"}, r.PytestArgs()...)...)
	cmd.Dir = r.Dir
	path := dir
	for _, kv := range r.Vars {
		if v, ok := strings.CutPrefix(kv, "PYTHONPATH="); ok {
			path += string(os.PathListSeparator) + v
			cmd.Env = append(cmd.Env, "DX_PLAIN_PYTHONPATH="+v)
			continue
		}
		cmd.Env = append(cmd.Env, kv)
	}
	cmd.Env = append(cmd.Env, "PYTHONPATH="+path, "DX_PLAIN_OUT="+out)
	began := time.Now()
	text, err := cmd.CombinedOutput()
	a.Seconds = time.Since(began).Seconds()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, fmt.Errorf("running pytest: %w", err)
	}
	a.Status = cmd.ProcessState.ExitCode()
	b, err := os.ReadFile(out)
	if err != nil {
		return a, fmt.Errorf("pytest ended with exit status %d and left no results:\n%s", a.Status, lastLines(text, 15))
	}
	var rows [][5]any
	if err := json.Unmarshal(b, &rows); err != nil {
		return a, fmt.Errorf("reading pytest's results: %w", err)
	}
	for _, row := range rows {
		a.add(row)
	}
	return a, nil
}

// add folds one report, [id, when, outcome, has wasxfail, is a subtest's], into
// the outcome of its test, as a run of ours does.
func (a *Answer) add(row [5]any) {
	id, _ := row[0].(string)
	when, _ := row[1].(string)
	outcome, _ := row[2].(string)
	wasxfail, _ := row[3].(bool)
	subtest, _ := row[4].(bool)
	old, seen := a.Outcomes[id]
	if outcome == "rerun" {
		delete(a.Outcomes, id)
		return
	}
	o := pytest.OutcomeOf(when, outcome, wasxfail)
	if subtest && o != pytest.Failed {
		return
	}
	if !seen && !slices.Contains(a.Order[max(0, len(a.Order)-1):], id) {
		a.Order = append(a.Order, id)
	}
	a.Outcomes[id] = max(old, o)
}

func lastLines(b []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
