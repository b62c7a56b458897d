package report

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/run"
)

// Footer keeps what a run says of itself, for one line behind pytest's last.
type Footer struct {
	started run.Started
	ended   run.Ended
	modules map[string]float64 // seconds by file
}

// Event keeps the beginning and the end, and how long each module took.
func (f *Footer) Event(e run.Event) {
	switch {
	case e.Started != nil:
		f.started, f.modules = *e.Started, map[string]float64{}
	case e.Test != nil:
		f.modules[e.Test.Path] += e.Test.Seconds()
	case e.Ended != nil:
		f.ended = *e.Ended
	}
}

// Flaky names the tests that passed only when they ran again, "" when none did.
func (f *Footer) Flaky() string {
	ids := f.ended.Flaky
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("flaky, passed when run again: %s", strings.Join(ids, " "))
}

// Line says how the tests were run: workers, mode, and why when it is not the
// fast one; "" when none were.
func (f *Footer) Line() string {
	if f.started.Workers == 0 {
		return ""
	}
	s := fmt.Sprintf("%d workers", f.started.Workers)
	if f.started.Workers == 1 {
		s = "1 worker"
	}
	s += ", " + f.started.Mode
	if f.started.Reason != "" {
		s += " (" + f.started.Reason + ")"
	}
	if gain := f.gain(runtime.NumCPU()); gain > 0 {
		s += fmt.Sprintf(" · about %.1fx with -n auto; dx-py verify checks that it is safe", gain)
	}
	if f.ended.NotRun > 0 {
		s += fmt.Sprintf(" · %d not run", f.ended.NotRun)
	}
	return s
}

// worthwhile is how many seconds the tests of one worker must take for several
// to be proposed.
const worthwhile = 2

// gain is how many times faster so many processors could run the tests, 0 when
// that is not worth a word. Modules are kept together; a tenth goes to the
// start of workers and what they set up each for themselves.
func (f *Footer) gain(processors int) float64 {
	total, longest := 0.0, 0.0
	for _, seconds := range f.modules {
		total += seconds
		longest = max(longest, seconds)
	}
	if !f.started.Divisible || f.started.Workers != 1 || processors < 2 || total < worthwhile {
		return 0
	}
	gain := total / max(1.1*total/float64(processors), longest)
	if gain < 1.3 {
		return 0
	}
	return gain
}

// Ran is how many tests ended.
func (f *Footer) Ran() (n int) {
	for _, k := range f.ended.Totals {
		n += k
	}
	return n
}

// Slow names tests that have been running for long.
type Slow struct{ Out io.Writer }

// Event writes a line.
func (s Slow) Event(e run.Event) {
	if e.Slow != nil {
		fmt.Fprintf(s.Out, "\nslow: %s has been running for %.0fs\n", e.Slow.ID, e.Slow.Seconds)
	}
}

// Problems tells of what went wrong beside the tests: a line each.
type Problems struct {
	Out  io.Writer
	said []string
}

// Event writes a line.
func (p *Problems) Event(e run.Event) {
	if e.Problem != nil {
		p.said = append(p.said, e.Problem.Message)
		fmt.Fprintf(p.Out, "warning: %s\n", e.Problem.Message)
	}
}

// Told reports whether it has told of an error that a run then returned.
func (p *Problems) Told(err error) bool { return slices.Contains(p.said, err.Error()) }
