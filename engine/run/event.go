package run

import "github.com/dx-py/dx-py-ls/engine/pytest"

// Event is what a sink is told. Exactly one field is set.
type Event struct {
	Started *Started
	Test    *pytest.Result
	Warning *Warning
	Problem *Problem
	Ended   *Ended
}

// Started begins a run.
type Started struct {
	Items          []Item // what was collected, in pytest's order; not to be changed
	Tests, Workers int
	Mode, Reason   string
	Version        string // of pytest
}

// Warning is a warning that pytest recorded while tests ran.
type Warning struct {
	ID       string `json:"id"`
	Category string `json:"category"`
	Message  string `json:"message"`
	Path     string `json:"path"`
	Line     int    `json:"line"`
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
	Status  int // pytest's exit status
	Totals  map[pytest.Outcome]int
	NotRun  int
	Seconds float64
}

// Sink is told of a run, in order, from one goroutine.
type Sink interface{ Event(Event) }
