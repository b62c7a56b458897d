package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/cmd/internal/early"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// timings are the moments of a run, for --timings and --profile-out. A nil one
// notes nothing. Times are nanoseconds, as client.Now.
type timings struct {
	stages []stage
	told   bool  // --timings
	result int64 // when the last result came

	profile string // the file of --profile-out
	tests   []pytest.Result
}

// stage is a part of a run; each begins where the one before has ended, so
// that together they are the run.
type stage struct {
	name     string
	from, to int64
}

// newTimings begins with what is over by now: the client's start and its way
// to here. In a process that makes several runs the start is the first's.
func (p *program) newTimings(f testFlags) *timings {
	if !f.timings && f.profileOut == "" {
		return nil
	}
	t := &timings{told: f.timings}
	if f.profileOut != "" {
		t.profile = absolute(p.dir, f.profileOut)
	}
	switch c, entered := p.call, client.Entered(); {
	case p.timings != nil || entered == 0:
		now := client.Now()
		t.stages = append(t.stages, stage{"start", now, now})
	case c != nil:
		t.stages = append(t.stages, stage{"client start", c.Began, c.Asked}, stage{"attach", c.Asked, c.Got})
	default:
		t.stages = append(t.stages, stage{"start", entered, client.Now()})
	}
	return t
}

func (t *timings) last() int64 { return t.stages[len(t.stages)-1].to }

// mark ends a stage now.
func (t *timings) mark(name string) {
	if t != nil {
		t.stages = append(t.stages, stage{name, t.last(), client.Now()})
	}
}

// render ends the stages of the tests.
func (t *timings) render() {
	if t == nil {
		return
	}
	if t.result > 0 {
		t.stages = append(t.stages, stage{"last result", t.last(), t.result})
	}
	t.mark("render")
}

// Event notes the first result and the last one.
func (t *timings) Event(e run.Event) {
	r := e.Test
	if r == nil {
		r = e.Attempt
	}
	if r == nil {
		return
	}
	if t.result == 0 {
		t.mark("first result")
	}
	t.result = client.Now()
	if t.profile != "" {
		t.tests = append(t.tests, pytest.Result{ID: r.ID, Outcome: r.Outcome, Start: r.Start, Duration: r.Duration, Worker: r.Worker, Attempt: r.Attempt})
	}
}

// end writes and prints what was asked for; a client prints by itself.
func (t *timings) end(p *program) error {
	if t == nil {
		return nil
	}
	var err error
	if t.profile != "" {
		err = t.write(time.Now(), client.Now())
	}
	if t.told && p.call == nil {
		t.mark("end")
		early.PrintTimings(p.stderr, t.text(), t.last()-t.stages[0].from)
	}
	return err
}

func (t *timings) text() string {
	parts := make([]string, len(t.stages))
	for i, s := range t.stages {
		parts[i] = early.Stage(s.name, s.to-s.from)
	}
	return strings.Join(parts, " · ")
}

// notes is what the client needs to print them: when the last stage ended, and
// the stages.
func (t *timings) notes() string {
	if t == nil || !t.told {
		return ""
	}
	return strconv.FormatInt(t.last(), 10) + " " + t.text()
}
