package pytest

// Outcome is how a test ended; the worst of its phases counts, in this order
// (that of ../shared/conformance, which is how pytest's summary reads).
type Outcome uint8

const (
	NotRun Outcome = iota
	Passed
	XPassed
	Skipped
	XFailed
	Error
	Failed
)

var outcomes = [...]string{"not run", "passed", "xpassed", "skipped", "xfailed", "error", "failed"}

func (o Outcome) String() string { return outcomes[o] }

// OutcomeOf is what one report of a test says; failed outside of the call is
// an error, and unittest calls one by its name.
func OutcomeOf(when, outcome string, wasxfail bool) Outcome {
	switch {
	case outcome == "passed" && wasxfail:
		return XPassed
	case outcome == "passed":
		return Passed
	case outcome == "skipped" && wasxfail:
		return XFailed
	case outcome == "skipped":
		return Skipped
	case when == "call" && outcome != "error":
		return Failed
	}
	return Error
}

// Bad reports whether the outcome makes a run fail.
func (o Outcome) Bad() bool { return o >= Error }

// Phase is a part of a test's run.
type Phase uint8

const (
	NoPhase Phase = iota
	Setup
	Call
	Teardown
)

var phases = [...]string{"", "setup", "call", "teardown"}

func (p Phase) String() string { return phases[p] }

// ParsePhase reads a phase as pytest's reports name it.
func ParsePhase(s string) Phase {
	for i, name := range phases {
		if name == s {
			return Phase(i)
		}
	}
	return NoPhase
}

// Result is how one test ended.
type Result struct {
	ID       string
	Index    int // the test's place in what was collected
	Outcome  Outcome
	Phase    Phase  // the phase that decided the outcome; NoPhase for a plain pass
	Path     string // relative to the root, with slashes
	Line     int    // 1-based
	FailLine int    // line of Path in the innermost frame that is in it, when the test did not pass; else Line
	Start    float64
	Duration [3]float32 // of setup, call and teardown, in seconds; negative for what did not run
	Message  string     // of the exception, or the reason of a skip
	Text     string     // as pytest prints it below FAILURES
	Sections []Section  // captured output and logs
	Subtests []Subtest
	Worker   int
	Attempt  int  // from 1; more when a test that failed ran again
	Flaky    bool // it passed, and an attempt before had failed
}

// Seconds is how long the test took.
func (r *Result) Seconds() float64 {
	s := 0.0
	for _, d := range r.Duration {
		if d > 0 {
			s += float64(d)
		}
	}
	return s
}

// Section is output that a report carries: its title, as "Captured stdout
// call", and text.
type Section struct{ Title, Text string }

// Subtest is a subtest that was reported by itself.
type Subtest struct {
	Message string
	Kwargs  map[string]string
	Outcome Outcome
	Text    string
}
