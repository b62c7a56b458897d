package run

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// test is the state of one item in a run.
type test struct {
	done     bool
	left     bool // not in this run
	attempts int  // that have failed
	result   pytest.Result
}

// report is a report of pytest's as a worker sends it.
type report struct {
	ID       string      `json:"id"`
	When     string      `json:"when"`
	Outcome  string      `json:"outcome"`
	Kind     string      `json:"kind"`
	WasXFail *string     `json:"wasxfail"`
	Message  string      `json:"message"`
	Line     int         `json:"line"` // of the test's file, in the innermost frame that is in it; 0 when none is
	Text     string      `json:"text"`
	Sections [][2]string `json:"sections"`
	Subtest  *struct {
		Message *string           `json:"message"`
		Kwargs  map[string]string `json:"kwargs"`
	} `json:"subtest"`
	Crash bool `json:"-"`
}

// outcome is what the report says by itself; a crash is an error.
func (r *report) outcome() pytest.Outcome {
	if r.Crash {
		return pytest.Error
	}
	return pytest.OutcomeOf(r.When, r.Outcome, r.WasXFail != nil)
}

// add folds a report into the test's result: the worst counts.
func (t *test) add(r report) {
	if r.Outcome == "rerun" { // a plugin runs the test again
		t.result = pytest.Result{}
		return
	}
	o := r.outcome()
	if r.Subtest != nil {
		name := ""
		if r.Subtest.Message != nil {
			name = *r.Subtest.Message
		}
		t.result.Subtests = append(t.result.Subtests, pytest.Subtest{Message: name, Kwargs: r.Subtest.Kwargs, Outcome: o, Text: r.Text})
		if !o.Bad() {
			return
		}
	}
	for _, s := range r.Sections {
		t.result.Sections = setSection(t.result.Sections, pytest.Section{Title: s[0], Text: s[1]})
	}
	if o <= t.result.Outcome {
		return
	}
	t.result.Outcome, t.result.Phase = o, pytest.ParsePhase(r.When)
	t.result.Message, t.result.Text, t.result.FailLine = r.Message, r.Text, r.Line
	if r.WasXFail != nil && *r.WasXFail != "" {
		t.result.Message = *r.WasXFail
	}
}

// setSection adds a section. Each report repeats those of the phases before.
func setSection(list []pytest.Section, s pytest.Section) []pytest.Section {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// hear takes a frame of a worker's.
func (d *dispatcher) hear(p *process, s Signal) {
	if s.Kind != wire.Observed && s.Kind != wire.Covered && s.Item >= len(d.tests) { // that one is of no test
		d.problem(errNoItem)
		return
	}
	switch s.Kind {
	case wire.Passed, wire.Report, wire.End, wire.Warning:
		d.tell(frame{s.Kind, s.Item, s.Payload})
	}
	switch s.Kind {
	case wire.Passed, wire.End:
		timing, ok := wire.ParseTiming(s.Payload)
		if !ok {
			d.problem(fmt.Errorf("a worker sent a result of %d bytes", len(s.Payload)))
			return
		}
		d.deaths = 0
		if d.queue != nil {
			d.queue.end(s.Item, timing.Seconds())
		}
		d.end(p, s.Item, timing)
	case wire.Report:
		var r report
		if err := json.Unmarshal(s.Payload, &r); err != nil {
			d.problem(fmt.Errorf("reading a worker's report: %w", err))
			return
		}
		d.tests[s.Item].add(r)
		if r.outcome().Bad() && d.held == nil {
			d.failed()
		}
	case wire.Observed:
		var o Observed
		if err := json.Unmarshal(s.Payload, &o); err != nil {
			d.problem(fmt.Errorf("reading what a worker opened: %w", err))
			return
		}
		d.emit(Event{Observed: &o})
	case wire.Covered:
		var c Covered
		if err := json.Unmarshal(s.Payload, &c); err != nil {
			d.problem(fmt.Errorf("reading what a worker covered: %w", err))
			return
		}
		if c.Files == nil && s.Item < len(d.items) {
			c.ID = d.items[s.Item].ID
		}
		d.emit(Event{Covered: &c})
	case wire.Warning:
		var w Warning
		if err := json.Unmarshal(s.Payload, &w); err == nil {
			d.emit(Event{Warning: &w})
		}
	}
}

func (d *dispatcher) problem(err error) { d.emit(Event{Problem: &Problem{err.Error()}}) }

// end gives a test its one terminal state.
func (d *dispatcher) end(p *process, i int, timing wire.Timing) {
	if k := slices.Index(p.items, i); k >= 0 {
		p.items = slices.Delete(p.items, k, k+1)
	}
	t := &d.tests[i]
	if t.done {
		return
	}
	r := &t.result
	if r.Outcome == pytest.NotRun {
		r.Outcome = pytest.Passed
	}
	it := d.items[i]
	r.Attempt = t.attempts + 1
	r.ID, r.Index, r.Path, r.Line, r.Worker = it.ID, i, it.Path, it.Line, p.slot
	if r.FailLine == 0 {
		r.FailLine = it.Line
	}
	r.Start, r.Duration = timing.Start, [3]float32{timing.Setup, timing.Call, timing.Teardown}
	if d.held != nil && !d.last(i) {
		return
	}
	t.done = true
	d.totals[r.Outcome]++
	told := *r
	d.emit(Event{Test: &told})
	r.Text, r.Sections, r.Subtests = "", nil, nil // nobody asks again, and those of all tests may be much
}

// last tells what was held back of an item that has ended for good; else the
// item will run again.
func (d *dispatcher) last(i int) bool {
	t := &d.tests[i]
	frames := d.held[i]
	delete(d.held, i)
	bad := t.result.Outcome.Bad()
	if bad && t.attempts < d.options.Retries && d.stopping == "" {
		t.attempts++
		r := t.result
		d.emit(Event{Attempt: &r})
		t.result = pytest.Result{}
		d.again = append(d.again, i)
		return false
	}
	for _, f := range frames {
		d.pass(f)
	}
	switch {
	case bad:
		d.failed()
	case t.attempts > 0:
		t.result.Flaky = true
		d.flaky = append(d.flaky, t.result.ID)
	}
	return true
}

// failed counts a failure.
func (d *dispatcher) failed() {
	d.failures++
	if d.options.MaxFail > 0 && d.failures >= d.options.MaxFail && d.top.role == Controller {
		d.halt(fmt.Sprintf("stopping after %d failures", d.failures))
	}
}

// isDone takes the last thing that a worker says of itself, and returns why
// the run is to end when a worker's session was ended by one of its tests or
// plugins: with one process that ends all.
func (d *dispatcher) isDone(p *process, payload []byte) (ends string) {
	var said struct {
		Status int             `json:"status"`
		Output *string         `json:"output"`
		Error  *string         `json:"error"`
		Exit   json.RawMessage `json:"exit"` // pytest.exit's message and status
		Spent
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		said.Status = exitInternal
	}
	d.spent.Ran += said.Ran
	d.spent.Wall += said.Wall
	d.spent.CPU += said.CPU
	switch {
	case p == d.top:
		d.status = said.Status
	case said.Output != nil || said.Error != nil:
		d.down(p, payload)
	}
	switch {
	case p.role != Runner:
		return ""
	case said.Exit != nil:
		return "exit " + string(said.Exit)
	case len(p.items) > 0:
		return string(Interrupted) // by KeyboardInterrupt, or shouldstop
	}
	return ""
}

// down tells the session that reports how a worker of its own session ended.
func (d *dispatcher) down(p *process, payload []byte) {
	if p.role == Runner && d.top.role == Controller {
		_ = d.top.Tell(wire.Down, p.slot, payload)
	}
}

// crash is what is told of a test whose worker died.
type crash struct {
	When    string `json:"when"`
	Message string `json:"message"`
	Stdout  string `json:"stdout,omitempty"`
	Stderr  string `json:"stderr,omitempty"`
}

func (c *crash) report() report {
	r := report{When: c.When, Outcome: "failed", Crash: true, Message: c.Message, Text: c.Message}
	if c.Stdout != "" {
		r.Sections = append(r.Sections, [2]string{"Captured stdout " + c.When, c.Stdout})
	}
	if c.Stderr != "" {
		r.Sections = append(r.Sections, [2]string{"Captured stderr " + c.When, c.Stderr})
	}
	return r
}

// payload tells it to the worker that takes the dead one's place.
func (c *crash) payload() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings only
	}
	return b
}
