// Package run executes collected tests on workers. One loop owns the state of
// a run; workers speak to it in Signals, and it tells sinks in Events.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// Item is a collected test.
type Item struct {
	ID   string
	Path string // relative to the root, with slashes
	Line int    // 1-based
}

// Workers starts processes that run a session's items.
type Workers interface {
	Items() []Item
	// Start makes a worker. Its signals end with one of kind Gone, behind
	// which the channel is closed.
	Start(id int) (Worker, <-chan Signal, error)
}

// Worker runs items by their place in the collected list.
type Worker interface {
	Run(pairs []uint32) error // first, count, first, count, ...
	Finish() error
	Stop(reason string) error
	Replay(kind wire.Kind, item int, payload []byte) error
	Signal(os.Signal) error
}

// Gone is the kind of a worker's last signal.
const Gone wire.Kind = 255

// Signal is what a worker says, or what is said of it.
type Signal struct {
	Worker  int
	Kind    wire.Kind
	Item    int
	Payload []byte

	// With Gone: how the process ended, and what it was about to run; Item is
	// -1 when nothing.
	Killed         string // the signal's name
	Status         int
	Phase          int    // as in ring.Checkpoint
	Stdout, Stderr string // what it had captured
	Error          string
}

// CancelReason says why a run was cancelled; it is the cause of the context.
type CancelReason string

func (c CancelReason) Error() string { return string(c) }

// Why a run ends before all tests have run.
const (
	Interrupted CancelReason = "interrupted"
	Superseded  CancelReason = "superseded by a newer run"
)

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
	Ran       int     // items
	Wall, CPU float64 // seconds in the loop, summed over workers
}

// doneSaid is the last thing that a worker says of itself.
type doneSaid struct {
	Status int `json:"status"`
	Spent
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

// maxDeaths is how many workers may die one after another without that a test
// has ended: a crash in a test is that test's, this is the environment's.
const maxDeaths = 3

// Options of a run.
type Options struct {
	Mode, Reason, Version string
}

// Run runs all items on one worker and returns pytest's exit status.
func Run(ctx context.Context, workers Workers, o Options, sinks ...Sink) (int, error) {
	d := &dispatcher{workers: workers, items: workers.Items(), sinks: sinks, began: time.Now(), totals: map[pytest.Outcome]int{}}
	d.tests = make([]test, len(d.items))
	d.emit(Event{Started: &Started{Tests: len(d.items), Workers: 1, Mode: o.Mode, Reason: o.Reason, Version: o.Version}})
	status, err := d.run(ctx)
	notRun := 0
	for i := range d.tests {
		if !d.tests[i].done {
			notRun++
		}
	}
	d.emit(Event{Ended: &Ended{Status: status, Totals: d.totals, NotRun: notRun, Spent: d.spent, Seconds: time.Since(d.began).Seconds()}})
	return status, err
}

type dispatcher struct {
	workers Workers
	items   []Item
	tests   []test
	sinks   []Sink
	began   time.Time
	totals  map[pytest.Outcome]int
	deaths  int
	spent   Spent
	frames  []frame // what has been said, for a worker that takes a dead one's place
}

type frame struct {
	kind    wire.Kind
	item    int
	payload []byte
}

func (d *dispatcher) emit(e Event) {
	for _, s := range d.sinks {
		s.Event(e)
	}
}

// grace is how long a cancelled worker may tear down before it is killed.
const grace = time.Second

func (d *dispatcher) run(ctx context.Context) (int, error) {
	for id := 0; ; id++ {
		status, died, err := d.generation(ctx, id)
		if err != nil || died == nil {
			return status, err
		}
		if ctx.Err() != nil {
			return 2, nil
		}
		if d.deaths >= maxDeaths {
			err := fmt.Errorf("%d workers ended one after another without a test between: %s", d.deaths, died.how())
			d.emit(Event{Problem: &Problem{err.Error()}})
			return 3, err
		}
	}
}

// generation runs what has not run on a new worker. died is its last signal
// when it ended without having finished the session.
func (d *dispatcher) generation(ctx context.Context, id int) (status int, died *Signal, err error) {
	w, signals, err := d.workers.Start(id)
	if err != nil {
		return 3, nil, err
	}
	var sendErr error
	for _, f := range d.frames {
		sendErr = errors.Join(sendErr, w.Replay(f.kind, f.item, f.payload))
	}
	sendErr = errors.Join(sendErr, w.Run(d.pending()), w.Finish())
	_ = sendErr // a worker that cannot be reached is Gone, which is handled below

	cancel := ctx.Done()
	var killAt <-chan time.Time
	finished := false
	for {
		select {
		case <-cancel:
			cancel = nil
			_ = w.Signal(os.Interrupt)
			killAt = time.After(grace)
		case <-killAt:
			_ = w.Signal(os.Kill)
		case s, ok := <-signals:
			if !ok {
				return status, nil, nil
			}
			switch s.Kind {
			case wire.Done:
				finished = true
				var done doneSaid
				if err := json.Unmarshal(s.Payload, &done); err != nil {
					done.Status = 3
				}
				status = done.Status
				d.spent.Ran += done.Ran
				d.spent.Wall += done.Wall
				d.spent.CPU += done.CPU
			case Gone:
				if finished {
					continue
				}
				d.died(s)
				for range signals {
				}
				return 3, &s, nil
			default:
				d.said(s)
			}
		}
	}
}

// pending returns the items without a result, as pairs of first and count.
func (d *dispatcher) pending() []uint32 {
	var pairs []uint32
	for i := 0; i < len(d.tests); {
		if d.tests[i].done {
			i++
			continue
		}
		first := i
		for i < len(d.tests) && !d.tests[i].done {
			i++
		}
		pairs = append(pairs, uint32(first), uint32(i-first))
	}
	return pairs
}

// died ends the test that a worker was running when its process ended.
func (d *dispatcher) died(s Signal) {
	if s.Item < 0 || s.Item >= len(d.tests) || d.tests[s.Item].done {
		d.deaths++
		return
	}
	d.deaths = 0 // it ended a test
	phase := pytest.Phase(min(s.Phase, int(pytest.Teardown)))
	t := &d.tests[s.Item]
	c := crash{When: phase.String(), Message: s.how(), Stdout: s.Stdout, Stderr: s.Stderr}
	t.add(c.report())
	d.frames = append(d.frames, frame{wire.Crash, s.Item, c.payload()})
	d.end(s.Item, s.Worker, wire.Timing{Setup: -1, Call: -1, Teardown: -1})
}

// how says how a worker's process ended.
func (s Signal) how() string {
	switch {
	case s.Killed != "":
		return "the worker process was ended by " + s.Killed
	case s.Error != "":
		return "the worker process ended: " + s.Error
	}
	return fmt.Sprintf("the worker process ended with exit status %d", s.Status)
}
