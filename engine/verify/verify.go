// Package verify proves on a user's own suite that the answers are pytest's: it
// runs plain pytest twice, what differs there is flaky, then this engine cold,
// warm and with several workers.
package verify

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Answer is what one run said.
type Answer struct {
	Name     string
	Status   int
	Tests    map[string]Test
	Order    []string // the ids as they ended
	Warnings []string // recorded while tests ran, sorted
	Seconds  float64
	Note     string // why it ran otherwise than asked for
}

// Test is what became of one test.
type Test struct {
	Outcome pytest.Outcome
	Phase   pytest.Phase // that decided the outcome
	Text    string       // what is printed of it: the failure and captured output, without times and addresses
}

// Difference is how an answer differs from plain pytest's.
type Difference struct {
	Missing, Extra []string // ids
	Outcomes       []string // ids with both outcomes
	Phases, Texts  []string // ids
	Warnings       int
	Order          bool // of tests that both ran; never set with several workers
	Status         bool
}

// Count is the number of differences.
func (d *Difference) Count() int {
	n := len(d.Missing) + len(d.Extra) + len(d.Outcomes) + len(d.Phases) + len(d.Texts) + d.Warnings
	if d.Order {
		n++
	}
	if d.Status {
		n++
	}
	return n
}

// Step tells that a run begins, and how many seconds the rest may take; 0 when
// that is not known.
type Step func(name string, seconds float64)

// Report is what verify found.
type Report struct {
	Plain    Answer
	Flaky    []string        // ids whose outcome differs between two plain runs
	shaky    map[string]bool // ids whose text does
	warnings bool            // are the same in two plain runs
	Answers  []Answer        // cold, warm, several workers
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
	r.Texts = true
	step("pytest", 0)
	if rep.Plain, err = plain(ctx, r); err != nil {
		return nil, err
	}
	step("pytest again", 4*rep.Plain.Seconds)
	again, err := plain(ctx, r)
	if err != nil {
		return nil, err
	}
	rep.judge(again)

	e := &engine.Engine{}
	defer e.Close()
	ours := func(name string, on *engine.Engine, workers int) error {
		step(name, 0)
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

// judge finds what differs between two runs of pytest's own.
func (r *Report) judge(again Answer) {
	r.shaky = map[string]bool{}
	for id, t := range r.Plain.Tests {
		other, both := again.Tests[id]
		if !both || other.Outcome != t.Outcome {
			r.Flaky = append(r.Flaky, id)
		} else if other.Text != t.Text {
			r.shaky[id] = true
		}
	}
	for id := range again.Tests {
		if _, both := r.Plain.Tests[id]; !both {
			r.Flaky = append(r.Flaky, id)
		}
	}
	slices.Sort(r.Flaky)
	r.warnings = slices.Equal(r.Plain.Warnings, again.Warnings)
}

// compare finds the differences of an answer that are not flaky.
func (r *Report) compare(a Answer, ordered bool) (d Difference) {
	flaky := map[string]bool{}
	for _, id := range r.Flaky {
		flaky[id] = true
	}
	for id, want := range r.Plain.Tests {
		got, both := a.Tests[id]
		switch {
		case flaky[id]:
		case !both:
			d.Missing = append(d.Missing, id)
		case got.Outcome != want.Outcome:
			d.Outcomes = append(d.Outcomes, fmt.Sprintf("%s: pytest %s, here %s", id, want.Outcome, got.Outcome))
		case got.Phase != want.Phase && got.Outcome != pytest.Passed:
			d.Phases = append(d.Phases, fmt.Sprintf("%s: pytest %s, here %s", id, want.Phase, got.Phase))
		case got.Text != want.Text && !r.shaky[id]:
			d.Texts = append(d.Texts, id)
		}
	}
	for id := range a.Tests {
		if _, both := r.Plain.Tests[id]; !both && !flaky[id] {
			d.Extra = append(d.Extra, id)
		}
	}
	for _, list := range []*[]string{&d.Missing, &d.Extra, &d.Outcomes, &d.Phases, &d.Texts} {
		slices.Sort(*list)
	}
	if ordered && len(d.Missing)+len(d.Extra)+len(r.Flaky) == 0 {
		d.Order = !slices.Equal(r.Plain.Order, a.Order)
	}
	if ordered && r.warnings && len(r.Flaky) == 0 {
		d.Warnings = unlike(r.Plain.Warnings, a.Warnings)
	}
	d.Status = len(r.Flaky) == 0 && a.Status != r.Plain.Status
	return d
}

// unlike counts what only one of two sorted lists has.
func unlike(a, b []string) (n int) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a, n = a[1:], n+1
		default:
			b, n = b[1:], n+1
		}
	}
	return n + len(a) + len(b)
}

// variable is what differs from run to run of the same: addresses, counted
// folders, times.
var variable = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`0x[0-9a-f]{6,}`), "0xADDRESS"},
	{regexp.MustCompile(`pytest-of-[^/]+/pytest-\d+`), "pytest-N"},
	{regexp.MustCompile(`\d+\.\d+(e-\d+)? ?(s|ms|seconds)\b`), "Ns"},
}

func steady(text string) string {
	for _, v := range variable {
		text = v.what.ReplaceAllString(text, v.by)
	}
	return text
}

// collector is the sink of our runs.
type collector struct{ a Answer }

func (c *collector) Event(e run.Event) {
	switch {
	case e.Started != nil:
		c.a.Note = e.Started.Reason
	case e.Warning != nil:
		c.a.Warnings = append(c.a.Warnings, fmt.Sprintf("%s: %s: %s", e.Warning.ID, e.Warning.Category, e.Warning.Message))
	case e.Test != nil:
		t := Test{Outcome: e.Test.Outcome, Phase: e.Test.Phase}
		if t.Outcome.Bad() {
			t.Text = e.Test.Text
			for _, s := range e.Test.Sections {
				t.Text += "\n--- " + s.Title + "\n" + s.Text
			}
			t.Text = steady(t.Text)
		}
		c.a.Tests[e.Test.ID] = t
		c.a.Order = append(c.a.Order, e.Test.ID)
	}
}

func answer(ctx context.Context, e *engine.Engine, r engine.Request) (Answer, error) {
	c := &collector{Answer{Tests: map[string]Test{}}}
	began := time.Now()
	status, err := e.Run(ctx, r, c)
	c.a.Status, c.a.Seconds = status, time.Since(began).Seconds()
	slices.Sort(c.a.Warnings)
	return c.a, err
}
