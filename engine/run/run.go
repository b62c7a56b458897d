// Package run executes collected tests on workers. One loop owns the state of
// a run; workers speak to it in Signals, and it tells sinks in Events.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

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
	// Observer runs each item alone, in a process of its own, and tells nothing
	// but which functions it enters. It is no role of Run's.
	Observer Role = "observer"
)

// Workers starts processes that run a session's items.
type Workers interface {
	Items() []plan.Item
	// Start makes a worker. What it says goes to the channel; the last is of
	// kind Gone. id is unique among the workers of a run, slot says whose
	// place among the runners it takes.
	Start(role Role, id, slot, runners int, to chan<- Signal) (Worker, error)
	// Sweep ends processes that tests have left behind, once all workers have
	// ended or said that they will, and says what they were. Those that end by
	// themselves within the time are not meant.
	Sweep(wait time.Duration) []string
}

// Worker is one process. Its methods do not block for long, and fail only when
// the process is gone.
type Worker interface {
	Run(pairs []uint32) error // items by place: first, count, first, count, ...
	Finish() error            // no more items, or reports, will come
	// Stop has nothing further started. The reason is for the user, unless it is
	// Interrupted, or "exit " and pytest.exit's message and status as JSON.
	Stop(reason string) error
	Tell(kind wire.Kind, item int, payload []byte) error
	Signal(os.Signal) error
	Alarm() error // the test that runs has taken too long: end it by an exception
	// Running is the item that runs, or ran last, and since when at the latest.
	Running() (item int, since time.Time, ok bool)
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
	Phase          int      // as in ring.Checkpoint
	Stdout, Stderr string   // what it had captured
	Left           []string // processes that it left behind, which were ended
}

// CancelReason says why a run was cancelled; it is the cause of the context.
type CancelReason string

func (c CancelReason) Error() string { return string(c) }

// Interrupted is the user's wish.
const Interrupted CancelReason = "interrupted"

// Options of a run.
type Options struct {
	Elsewhere int           // tests that need not run, in files that were not collected
	Workers   int           // at least 1
	Plan      *plan.Plan    // of the workers' items, for so many workers; nil for all in pytest's order
	MaxFail   int           // stop behind so many failures; 0 for never
	Retries   int           // how often a test that fails is run again, each time in a process that has run nothing of it
	Timeout   time.Duration // how long a test may take; 0 for ever
	Apart     bool          // workers have sessions of their own: the one that reports is told of their ends
	Abrupt    bool          // workers know no Alarm: a test that takes too long is killed with its process at once

	// Debugged says that a debugger is attached, which may end the process.
	Debugged bool

	// Terminal says that the processes share a terminal with the caller, which
	// sends an interrupt from the keyboard to all of them.
	Terminal bool

	// Kill is closed when a cancelled run is to end at once.
	Kill <-chan struct{}

	Mode, Reason, Version string // for Started
	Divisible             bool
}

// ErrTerminated says that a debugger has ended its process: no test is to blame.
var ErrTerminated = errors.New("the debugger has ended the process")

// slow is when a test that runs is named.
const slow = time.Minute

// patience is how long a test may tear down that has taken too long, before
// its process is killed.
const patience = 5 * time.Second

// maxDeaths is how many workers may die one after another without that a test
// has ended: a crash in a test is that test's, this is the environment's.
const maxDeaths = 3

// grace is how long a cancelled worker may tear down before it is killed; a
// test makes it longer.
var grace = time.Second

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
	if d.options.Plan == nil {
		d.options.Plan = plan.Build(plan.Input{Items: d.items, Workers: o.Workers})
	}
	d.tests = make([]test, len(d.items))
	for _, list := range [][]int{d.options.Plan.Left, d.options.Plan.Unchanged} {
		for _, i := range list {
			d.tests[i].left = true
		}
	}
	d.order = d.options.Plan.Order()
	d.emit(Event{Started: &Started{Items: d.ordered(), Tests: len(d.order), Workers: max(o.Workers, 1), Mode: o.Mode, Reason: o.Reason, Version: o.Version, Divisible: o.Divisible}})
	over := make(chan struct{})
	go d.hurry(over)
	err := d.start()
	if err == nil {
		err = d.loop(ctx)
	}
	close(over)
	d.abandon()
	d.sweep(ctx)
	notRun := 0
	for i := range d.tests {
		if !d.tests[i].done && !d.tests[i].left {
			notRun++
		}
	}
	d.emit(Event{Ended: &Ended{
		Status: d.status, Totals: d.totals, NotRun: notRun, Unchanged: len(d.options.Plan.Unchanged) + d.options.Elsewhere, Flaky: d.flaky, Whole: !d.lost, Spent: d.spent, Seconds: time.Since(d.began).Seconds(),
	}})
	return d.status, err
}

// hurry ends the process that reports when a run is to end at once: whoever
// reads what it prints may have stopped, and the loop waits for it.
func (d *dispatcher) hurry(over <-chan struct{}) {
	select {
	case <-d.options.Kill:
		if p := d.controller.Load(); p != nil {
			_ = p.Signal(os.Kill)
		}
	case <-over:
	}
}

type dispatcher struct {
	workers Workers
	options Options
	items   []plan.Item
	order   []int // the items of the plan
	tests   []test
	sinks   []Sink
	began   time.Time
	totals  map[pytest.Outcome]int
	status  int
	spent   Spent

	signals chan Signal
	live    map[int]*process
	next    int // id of the next process
	queue   *queue
	top     *process // solo or controller: whose end is the run's
	running int      // runners that live

	controller atomic.Pointer[process] // for hurry
	deaths     int
	failures   int
	stopping   string  // why nothing further is started
	said       []frame // for a solo worker that takes a dead one's place
	resumed    bool    // one has, to report a cancelled run
	killAt     <-chan time.Time

	again []int           // items that failed and are to run again
	held  map[int][]frame // what the controller is told of an item when it has ended for good; nil without retries
	flaky []string        // ids
	lost  bool            // a process ended without a last word
}

// process is a worker as the loop sees it.
type process struct {
	Worker
	id, slot int
	role     Role
	items    []int // handed over and not ended, in order
	finished bool  // told that no more items will come
	watched  watched
}

// watched is what is known of the item that a worker runs.
type watched struct {
	item           int
	since          time.Time
	alarmed, named bool
	killed         bool
}

type frame struct {
	kind    wire.Kind
	item    int
	payload []byte
}

// ordered are the items that will run, in their order.
func (d *dispatcher) ordered() []plan.Item {
	out := make([]plan.Item, len(d.order))
	for k, i := range d.order {
		out[k] = d.items[i]
	}
	return out
}

func (d *dispatcher) emit(e Event) {
	for _, s := range d.sinks {
		s.Event(e)
	}
}

// start makes the first processes.
func (d *dispatcher) start() error {
	if d.options.Workers <= 1 && d.options.Retries == 0 {
		return d.startSolo()
	}
	if d.options.Retries > 0 {
		d.held = map[int][]frame{}
	}
	top, err := d.launch(Controller, 0)
	if err != nil {
		return err
	}
	d.top = top
	d.controller.Store(top)
	d.queue = newQueue(d.options.Plan, d.items)
	for slot := range len(d.queue.slots) {
		// never more workers than there is work for; one even for none
		idle := slot >= len(d.order)
		if d.queue.fixed {
			idle = !d.queue.more(slot)
		}
		if idle && (d.running > 0 || slot+1 < len(d.queue.slots)) {
			continue
		}
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
	if left := d.pending(); len(left) > 0 {
		_ = p.Run(left)
	} else {
		_ = p.Tell(wire.Run, 0, nil) // all is told: a crash was that of the last test
	}
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
	for _, i := range d.order {
		if !d.tests[i].done {
			left = append(left, i)
		}
	}
	return Pairs(left)
}

// Pairs writes places as first and count.
func Pairs(items []int) []uint32 {
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
		if more := d.queue.take(p.slot, p.items); len(more) > 0 {
			p.items = append(p.items, more...)
			_ = p.Run(Pairs(more))
		}
		if d.queue.more(p.slot) {
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
	look := time.NewTicker(d.interval())
	defer look.Stop()
	var killNow <-chan struct{}
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
			d.killAt, killNow = time.After(grace), d.options.Kill
		case now := <-look.C:
			d.look(now)
		case <-d.killAt:
			d.killAt = nil
			d.killAll()
		case <-killNow:
			killNow = nil
			d.killAll()
		case s := <-d.signals:
			if err := d.signal(ctx, s); err != nil {
				d.status = exitInternal
				return err
			}
		}
	}
	return nil
}

// interval is how often the running tests are looked at.
func (d *dispatcher) interval() time.Duration {
	if d.options.Timeout > 0 {
		return min(max(d.options.Timeout/20, 10*time.Millisecond), time.Second)
	}
	return slow / 10
}

// look names tests that run for long and ends those that have taken too long.
func (d *dispatcher) look(now time.Time) {
	for _, p := range d.live {
		if p.role == Controller {
			continue
		}
		i, since, ok := p.Running()
		w := &p.watched
		if !ok || i >= len(d.tests) || d.tests[i].done || w.killed {
			continue
		}
		if i != w.item || w.since.IsZero() {
			*w = watched{item: i, since: since}
		}
		took, limit := now.Sub(w.since), d.options.Timeout
		switch {
		case limit > 0 && (took > limit+patience || d.options.Abrupt && took > limit):
			w.killed = true
			_ = p.Signal(os.Kill)
		case limit > 0 && took > limit && !w.alarmed:
			w.alarmed = true
			_ = p.Alarm()
		case took > slow && !w.named:
			w.named = true
			d.emit(Event{Slow: &Slow{ID: d.items[i].ID, Seconds: took.Seconds()}})
		}
	}
}

// killAll ends those that run tests; the controller has to report.
func (d *dispatcher) killAll() {
	for _, p := range d.live {
		if p.role != Controller {
			_ = p.Signal(os.Kill)
		}
	}
}

// signal takes what one process says.
func (d *dispatcher) signal(ctx context.Context, s Signal) error {
	p := d.live[s.Worker]
	if p == nil {
		return nil
	}
	switch s.Kind {
	case wire.Done:
		ends := d.isDone(p, s.Payload)
		delete(d.live, p.id) // the end of its process needs not be waited for
		if p.role == Runner {
			if ends != "" {
				d.halt(ends)
			}
			return d.runnerEnded()
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

// tell tells of an item that may have to run again, once it is known that it
// will not.
func (d *dispatcher) tell(f frame) {
	if d.held != nil {
		d.held[f.item] = append(d.held[f.item], f)
		return
	}
	d.pass(f)
}

// pass tells the process that reports, or one that may have to.
func (d *dispatcher) pass(f frame) {
	if d.top.role == Controller {
		_ = d.top.Tell(f.kind, f.item, f.payload)
		return
	}
	d.said = append(d.said, f)
}

// how says how a worker's process ended.
func (s Signal) how() string {
	if s.Killed != "" {
		return "the worker process was ended by " + s.Killed
	}
	return fmt.Sprintf("the worker process ended with exit status %d", s.Status)
}

// failed is what a plugin that counts workers is told of one that died.
func (s Signal) failed() []byte {
	b, err := json.Marshal(map[string]string{"error": s.how()})
	if err != nil {
		panic(err) // strings only
	}
	return b
}

var errNoItem = errors.New("a worker spoke of a test that does not exist")
