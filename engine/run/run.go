// Package run executes collected tests on workers. One loop owns the state of
// a run; workers speak to it in Signals, and it tells sinks in Events.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// Item is a collected test.
type Item struct {
	ID    string
	Path  string // relative to the root, with slashes
	Line  int    // 1-based
	Group string // of xdist_group, "" for none
}

// Role is what a worker process is for.
type Role string

const (
	// Solo runs all items, and is the session whose end the user sees.
	Solo Role = "solo"
	// Runner runs items for a controller, as a worker of pytest-xdist does.
	Runner Role = "worker"
	// Controller runs nothing; it is told what runners report, and is the
	// session whose end the user sees.
	Controller Role = "controller"
)

// Workers starts processes that run a session's items.
type Workers interface {
	Items() []Item
	// Start makes a worker. What it says goes to the channel; the last is of
	// kind Gone. id is unique among the workers of a run, slot says whose
	// place among the runners it takes.
	Start(role Role, id, slot, runners int, to chan<- Signal) (Worker, error)
}

// Worker is one process. Its methods do not block for long, and fail only when
// the process is gone.
type Worker interface {
	Run(pairs []uint32) error // items by place: first, count, first, count, ...
	Finish() error            // no more items, or reports, will come
	Stop(reason string) error // start nothing further
	Tell(kind wire.Kind, item int, payload []byte) error
	Signal(os.Signal) error
}

// Gone is the kind of a worker's last signal.
const Gone wire.Kind = 255

// Signal is what a worker says, or what is said of it.
type Signal struct {
	Worker  int // its id
	Kind    wire.Kind
	Item    int
	Payload []byte

	// With Gone: how the process ended, and what it was about to run; Item is
	// -1 when nothing.
	Killed         string // the signal's name
	Status         int
	Phase          int    // as in ring.Checkpoint
	Stdout, Stderr string // what it had captured
}

// CancelReason says why a run was cancelled; it is the cause of the context.
type CancelReason string

func (c CancelReason) Error() string { return string(c) }

// Interrupted is the user's wish.
const Interrupted CancelReason = "interrupted"

// Options of a run.
type Options struct {
	Workers int // at least 1
	Dist    Dist
	MaxFail int // stop behind so many failures; 0 for never

	// Terminal says that the processes share a terminal with the caller, which
	// sends an interrupt from the keyboard to all of them.
	Terminal bool

	Mode, Reason, Version string // for Started
}

// maxDeaths is how many workers may die one after another without that a test
// has ended: a crash in a test is that test's, this is the environment's.
const maxDeaths = 3

// grace is how long a cancelled worker may tear down before it is killed.
const grace = time.Second

// exit statuses of pytest's.
const (
	exitInterrupted = 2
	exitInternal    = 3
)

// Run runs all items and returns pytest's exit status.
func Run(ctx context.Context, workers Workers, o Options, sinks ...Sink) (int, error) {
	d := &dispatcher{
		workers: workers, options: o, items: workers.Items(), sinks: sinks, began: time.Now(), totals: map[pytest.Outcome]int{},
		signals: make(chan Signal, 1024), live: map[int]*process{},
	}
	d.tests = make([]test, len(d.items))
	d.emit(Event{Started: &Started{Items: d.items, Tests: len(d.items), Workers: max(o.Workers, 1), Mode: o.Mode, Reason: o.Reason, Version: o.Version}})
	err := d.start()
	if err == nil {
		err = d.loop(ctx)
	}
	d.abandon()
	notRun := 0
	for i := range d.tests {
		if !d.tests[i].done {
			notRun++
		}
	}
	d.emit(Event{Ended: &Ended{Status: d.status, Totals: d.totals, NotRun: notRun, Spent: d.spent, Seconds: time.Since(d.began).Seconds()}})
	return d.status, err
}

type dispatcher struct {
	workers Workers
	options Options
	items   []Item
	tests   []test
	sinks   []Sink
	began   time.Time
	totals  map[pytest.Outcome]int
	status  int
	spent   Spent

	signals  chan Signal
	live     map[int]*process
	next     int // id of the next process
	queue    *queue
	top      *process // solo or controller: whose end is the run's
	running  int      // runners that live
	deaths   int
	failures int
	stopping string  // why nothing further is started
	said     []frame // for a solo worker that takes a dead one's place
}

// process is a worker as the loop sees it.
type process struct {
	Worker
	id, slot int
	role     Role
	items    []int // handed over and not ended, in order
	finished bool  // told that no more items will come
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

// start makes the first processes.
func (d *dispatcher) start() error {
	if d.options.Workers <= 1 {
		return d.startSolo()
	}
	top, err := d.launch(Controller, 0)
	if err != nil {
		return err
	}
	d.top = top
	n := min(d.options.Workers, max(len(d.items), 1))
	d.queue = newQueue(d.items, n, d.options.Dist)
	for slot := range n {
		if err := d.startRunner(slot); err != nil {
			return err
		}
	}
	if d.queue.empty() {
		d.feedAll()
	}
	return nil
}

func (d *dispatcher) launch(role Role, slot int) (*process, error) {
	w, err := d.workers.Start(role, d.next, slot, d.options.Workers, d.signals)
	if err != nil {
		d.status = exitInternal
		return nil, err
	}
	p := &process{Worker: w, id: d.next, slot: slot, role: role}
	d.live[p.id] = p
	d.next++
	return p, nil
}

// startSolo gives all that has not run to one worker, and what has been said
// to it first.
func (d *dispatcher) startSolo() error {
	p, err := d.launch(Solo, 0)
	if err != nil {
		return err
	}
	d.top = p
	// An error means that the process is gone; its signal will come.
	for _, f := range d.said {
		_ = p.Tell(f.kind, f.item, f.payload)
	}
	_ = p.Run(d.pending())
	_ = p.Finish()
	return nil
}

func (d *dispatcher) startRunner(slot int) error {
	p, err := d.launch(Runner, slot)
	if err == nil {
		d.running++
		d.feed(p)
	}
	return err
}

// pending returns the items without a result, as pairs of first and count.
func (d *dispatcher) pending() []uint32 {
	var left []int
	for i := range d.tests {
		if !d.tests[i].done {
			left = append(left, i)
		}
	}
	return pairs(left)
}

// pairs writes places as first and count.
func pairs(items []int) []uint32 {
	var out []uint32
	for k := 0; k < len(items); {
		n := 1
		for k+n < len(items) && items[k+n] == items[k]+n {
			n++
		}
		out = append(out, uint32(items[k]), uint32(n))
		k += n
	}
	return out
}

// feed keeps a runner busy: it holds a little work, and the item behind it,
// which pytest must know before it tears one down.
func (d *dispatcher) feed(p *process) {
	if p.finished || p.role != Runner {
		return
	}
	if d.stopping == "" {
		if more := d.queue.take(p.slot, len(p.items)); len(more) > 0 {
			p.items = append(p.items, more...)
			_ = p.Run(pairs(more))
		}
		if !d.queue.empty() {
			return
		}
	}
	p.finished = true // what a dead worker gives back goes to the one in its place
	_ = p.Finish()
}

// halt has nothing further started: what runs ends and is reported.
func (d *dispatcher) halt(reason string) {
	if d.stopping != "" {
		return
	}
	d.stopping = reason
	for _, p := range d.live {
		if p.role == Runner {
			_ = p.Stop(reason)
		}
	}
}

func (d *dispatcher) feedAll() {
	for _, p := range d.live {
		d.feed(p)
	}
}

// loop runs until the process whose end is the run's has ended.
func (d *dispatcher) loop(ctx context.Context) error {
	cancel := ctx.Done()
	var killAt <-chan time.Time
	for d.top != nil && d.live[d.top.id] == d.top {
		select {
		case <-cancel:
			cancel = nil
			d.halt("interrupted")
			d.status = exitInterrupted
			for _, p := range d.live {
				if p.role != Controller && !d.options.Terminal {
					_ = p.Signal(os.Interrupt)
				}
			}
			killAt = time.After(grace)
		case <-killAt:
			killAt = nil
			for _, p := range d.live {
				if p.role != Controller {
					_ = p.Signal(os.Kill)
				}
			}
		case s := <-d.signals:
			if err := d.signal(ctx, s); err != nil {
				d.status = exitInternal
				return err
			}
		}
	}
	return nil
}

// signal takes what one process says.
func (d *dispatcher) signal(ctx context.Context, s Signal) error {
	p := d.live[s.Worker]
	if p == nil {
		return nil
	}
	switch s.Kind {
	case wire.Done:
		d.isDone(p, s.Payload)
		delete(d.live, p.id) // the end of its process needs not be waited for
		if p.role == Runner {
			if len(p.items) > 0 {
				// A test, or a plugin, ended the session: pytest.exit, an interrupt,
				// shouldstop. With one process that ends all.
				d.halt("interrupted")
			}
			d.runnerEnded()
		}
		return nil
	case Gone:
		return d.gone(ctx, p, s)
	}
	d.hear(p, s)
	if p.role == Runner {
		left := d.queue.left
		d.feed(p)
		if left > 0 && d.queue.empty() {
			d.feedAll() // who waits for a next item learns that there is none
		}
	}
	return nil
}

// gone takes the end of a process.
func (d *dispatcher) gone(ctx context.Context, p *process, s Signal) error {
	delete(d.live, p.id)
	crashed := d.died(p, s)
	switch {
	case p.role == Controller:
		return fmt.Errorf("the process that reports ended: %s", s.how())
	case ctx.Err() != nil || d.stopping != "":
	case d.deaths >= maxDeaths:
		err := fmt.Errorf("%d workers ended one after another without a test between: %s", d.deaths, s.how())
		d.problem(err)
		return err
	case p.role == Solo && !crashed && len(d.pending()) == 0:
		// A hook of the session's end, or of the interpreter's, has ended it.
		d.status = s.Status
		d.problem(fmt.Errorf("the session was not finished: %s", s.how()))
	case p.role == Solo:
		return d.startSolo()
	case p.role == Runner && (crashed || len(p.items) > 0 || !p.finished):
		d.running--
		d.queue.putBack(p.slot, p.items)
		err := d.startRunner(p.slot)
		if d.queue.empty() {
			d.feedAll()
		}
		return err
	}
	if p.role == Runner {
		d.runnerEnded()
	}
	return nil
}

// runnerEnded lets the controller end when no runner is left.
func (d *dispatcher) runnerEnded() {
	if d.running--; d.running == 0 && d.top != nil {
		if d.stopping != "" {
			_ = d.top.Stop(d.stopping)
		}
		_ = d.top.Finish()
	}
}

// died ends the test that a worker was running when its process ended, and
// reports whether there was one.
func (d *dispatcher) died(p *process, s Signal) bool {
	if s.Item < 0 || s.Item >= len(d.tests) || d.tests[s.Item].done {
		d.deaths++
		return false
	}
	d.deaths = 0 // it ended a test
	c := crash{When: pytest.Phase(min(s.Phase, int(pytest.Teardown))).String(), Message: s.how(), Stdout: s.Stdout, Stderr: s.Stderr}
	d.tests[s.Item].add(c.report())
	d.pass(frame{wire.Crash, s.Item, c.payload()})
	d.end(p, s.Item, wire.Timing{Setup: -1, Call: -1, Teardown: -1})
	return true
}

// pass tells the process that reports, or one that may have to.
func (d *dispatcher) pass(f frame) {
	if d.top.role == Controller {
		_ = d.top.Tell(f.kind, f.item, f.payload)
		return
	}
	d.said = append(d.said, f)
}

// abandon kills what is left when a run fails, and waits for its end.
func (d *dispatcher) abandon() {
	for _, p := range d.live {
		_ = p.Signal(os.Kill)
	}
	for len(d.live) > 0 {
		if s := <-d.signals; s.Kind == Gone {
			delete(d.live, s.Worker)
		}
	}
}

// how says how a worker's process ended.
func (s Signal) how() string {
	if s.Killed != "" {
		return "the worker process was ended by " + s.Killed
	}
	return fmt.Sprintf("the worker process ended with exit status %d", s.Status)
}

var errNoItem = errors.New("a worker spoke of a test that does not exist")
