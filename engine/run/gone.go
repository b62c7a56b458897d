package run

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// gone takes the end of a process.
func (d *dispatcher) gone(ctx context.Context, p *process, s Signal) error {
	delete(d.live, p.id)
	d.lost = true
	if ctx.Err() == nil {
		d.leftBehind(s.Left)
	}
	if d.options.Debugged && ctx.Err() == nil && (s.Killed == "SIGKILL" || s.Killed == "" && s.Status == 0) { // pydevd's os._exit(0)
		return ErrTerminated
	}
	// one that we have killed was cancelled
	crashed := (ctx.Err() == nil || s.Killed != "SIGKILL") && d.died(p, s)
	switch {
	case p.role == Controller && ctx.Err() != nil && d.atOnce():
		d.status = exitInterrupted
		return nil
	case p.role == Controller:
		return fmt.Errorf("the process that reports ended: %s", s.how())
	case p.role == Solo && ctx.Err() != nil && !d.resumed && !d.atOnce():
		return d.reportSolo()
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
		if d.options.Apart {
			d.down(p, s.failed())
		}
		d.queue.putBack(p.slot, p.items)
		err := d.startRunner(p.slot)
		if d.queue.empty() {
			d.feedAll()
		}
		return err
	}
	if p.role == Runner {
		return d.runnerEnded()
	}
	return nil
}

// runnerEnded lets the controller end when no runner is left, and nothing is
// to run again.
func (d *dispatcher) runnerEnded() error {
	if d.running--; d.running > 0 || d.top == nil {
		return nil
	}
	if len(d.again) > 0 && d.stopping == "" {
		slices.Sort(d.again)
		d.queue = newQueue(&plan.Plan{Slots: [][]plan.Batch{{{Items: d.again}}}}, d.items)
		d.again = nil
		err := d.startRunner(0)
		if d.queue.empty() {
			d.feedAll()
		}
		return err
	}
	_ = d.top.Tell(wire.Run, 0, nil) // all is told: a crash was that of the last test
	if d.stopping != "" {
		_ = d.top.Stop(d.stopping)
	}
	_ = d.top.Finish()
	return nil
}

// died ends the test that a worker was running when its process ended, and
// reports whether there was one.
func (d *dispatcher) died(p *process, s Signal) bool {
	if s.Item < 0 || s.Item >= len(d.tests) || d.tests[s.Item].done || d.held != nil && !slices.Contains(p.items, s.Item) {
		d.deaths++
		return false
	}
	d.deaths = 0 // it ended a test
	c := crash{When: pytest.Phase(min(s.Phase, int(pytest.Teardown))).String(), Message: s.how(), Stdout: s.Stdout, Stderr: s.Stderr}
	if p.watched.killed {
		c.Message = fmt.Sprintf("the test took more than %v and did not end within %v more: %s", d.options.Timeout, patience, c.Message)
		if d.options.Abrupt {
			c.Message = fmt.Sprintf("the test took more than %v: %s", d.options.Timeout, s.how())
		}
	}
	d.tests[s.Item].add(c.report())
	d.tell(frame{wire.Crash, s.Item, c.payload()})
	d.end(p, s.Item, wire.Timing{Setup: -1, Call: -1, Teardown: -1})
	return true
}

// reportSolo has another process report what has run, where the one that ran it
// did not end when it was interrupted: the summary is printed, JUnit written.
func (d *dispatcher) reportSolo() error {
	p, err := d.launch(Solo, 0)
	if err != nil {
		return err
	}
	d.top, d.resumed, d.killAt = p, true, time.After(grace) // a hook of the session's end may not end either
	for _, f := range d.said {
		_ = p.Tell(f.kind, f.item, f.payload)
	}
	_ = p.Tell(wire.Run, 0, nil) // no items: all is told
	_ = p.Stop(d.stopping)
	return nil
}

// atOnce reports whether a cancelled run is to end without a word.
func (d *dispatcher) atOnce() bool {
	select {
	case <-d.options.Kill:
		return true
	default:
		return false
	}
}

// Lingering is how long a process may outlive the test that has started it: it
// may have been told to end.
const Lingering = 250 * time.Millisecond

// sweep names what tests have left behind. Where a run was cancelled they could
// not tidy up.
func (d *dispatcher) sweep(ctx context.Context) {
	if ctx.Err() != nil {
		d.workers.Sweep(0)
		return
	}
	d.leftBehind(d.workers.Sweep(Lingering))
}

func (d *dispatcher) leftBehind(said []string) {
	for _, s := range said {
		d.emit(Event{Problem: &Problem{s}})
	}
}

// abandon kills what is left when a run fails, and waits for its end. What has
// ended by then has its result.
func (d *dispatcher) abandon() {
	for _, p := range d.live {
		_ = p.Signal(os.Kill)
	}
	for len(d.live) > 0 {
		s := <-d.signals
		switch p := d.live[s.Worker]; {
		case p == nil || s.Kind == wire.Done:
		case s.Kind == Gone:
			delete(d.live, s.Worker)
		case d.top != nil:
			d.hear(p, s)
		}
	}
}
