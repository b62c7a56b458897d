package run

import (
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Event is what a sink is told. Exactly one field is set.
type Event struct {
	Started *Started
	Test    *pytest.Result
	Attempt *pytest.Result // a failed one of a test that runs again
	Slow    *Slow

	Observed *Observed
	Covered  *Covered
	Warning  *Warning
	Problem  *Problem
	Ended    *Ended
}

// Started begins a run.
type Started struct {
	Items          []plan.Item // that will run, in the order of one worker
	Tests, Workers int
	Mode, Reason   string
	Divisible      bool   // several workers could run them
	Version        string // of pytest; of Python where unittest runs the tests
}

// Warning is a warning that pytest recorded while tests ran.
type Warning struct {
	ID       string `json:"id"`
	Category string `json:"category"`
	Message  string `json:"message"`
	Path     string `json:"path"`
	Line     int    `json:"line"`
}

// Slow is a test that has been running for long.
type Slow struct {
	ID      string
	Seconds float64
}

// Observed is which files of the project were opened by code in which others.
// Paths are absolute, but for openers that are "", the session's, or a test's
// file relative to the root.
type Observed struct {
	Edges   map[string][]string `json:"edges"`
	Opaque  []string            `json:"opaque"`  // openers that start processes: they may read anything
	Started []string            `json:"started"` // openers that start processes, of which is heard what they read
	Written []string            `json:"written"` // files that were opened for writing
}

// Covered is which statements of the project a test has run, by their first
// lines; what ran outside of all tests has no ID and says which statements there
// are: first and last lines. Paths are relative to the root.
type Covered struct {
	ID    string              `json:"-"`
	Lines map[string][]int    `json:"lines"`
	Files map[string][][2]int `json:"files"`
}

// Problem is something that went wrong beside the tests.
type Problem struct{ Message string }

// Spent is what workers count themselves.
type Spent struct {
	Ran  int     `json:"ran"`  // items
	Wall float64 `json:"wall"` // seconds in the loop, summed over workers
	CPU  float64 `json:"cpu"`
}

// Ended ends a run.
type Ended struct {
	Spent
	Status    int // pytest's exit status
	Totals    map[pytest.Outcome]int
	NotRun    int
	Unchanged int      // that need not run
	Flaky     []string // ids of tests that passed when they ran again
	Whole     bool     // no process died: all that was opened is told
	Seconds   float64
}

// Sink is told of a run, in order, from one goroutine.
type Sink interface{ Event(Event) }
