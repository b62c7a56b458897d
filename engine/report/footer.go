package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/run"
)

// Footer keeps what a run says of itself, for one line behind pytest's last.
type Footer struct {
	started run.Started
	ended   run.Ended
}

// Event keeps the beginning and the end.
func (f *Footer) Event(e run.Event) {
	switch {
	case e.Started != nil:
		f.started = *e.Started
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
	if f.ended.NotRun > 0 {
		s += fmt.Sprintf(" · %d not run", f.ended.NotRun)
	}
	return s
}

// Slow names tests that have been running for long.
type Slow struct{ Out io.Writer }

// Event writes a line.
func (s Slow) Event(e run.Event) {
	if e.Slow != nil {
		fmt.Fprintf(s.Out, "\nslow: %s has been running for %.0fs\n", e.Slow.ID, e.Slow.Seconds)
	}
}
