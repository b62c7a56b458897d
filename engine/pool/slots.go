package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// slot is the session of one worker's own, where the workers cannot share the
// one that reports: a fork of the stage that has loaded the plugins and no
// conftest, that was configured as a worker of pytest-xdist's is.
type slot struct {
	process  *process
	info     reply
	consumed bool // it became a worker
}

// Apart is why each worker needs a session of its own, "" when forks of this
// one do.
func (p *Session) Apart() string {
	switch {
	case p.settings.Unittest != nil:
	case p.info.Apart != "":
		return p.info.Apart
	case p.info.Shared != "":
		return p.info.Shared
	}
	return p.info.Threads
}

// Split makes the sessions of so many workers, which have to find the same
// items. It is for one run; the session can run all items itself where an error
// is returned.
func (p *Session) Split(ctx context.Context, n int) error {
	if p.template == nil || n > len(p.info.Inputs) {
		return errors.New(p.Apart())
	}
	slots, failed := make([]*slot, n), make(chan error, n)
	for k := range slots {
		go func() {
			var err error
			slots[k], err = p.newSlot(ctx, k)
			failed <- err
		}()
	}
	var err error
	for range slots {
		if e := <-failed; e != nil {
			err = e
		}
	}
	if err != nil {
		for _, s := range slots {
			s.end()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	p.slots = slots
	return nil
}

// newSlot has a fork of the template go on until all is collected.
func (p *Session) newSlot(ctx context.Context, k int) (*slot, error) {
	proc, err := p.template.fork(false)
	if err != nil {
		return nil, err
	}
	p.kin.adopt(proc.stage.pid)
	s := &slot{process: proc}
	stop := context.AfterFunc(ctx, proc.kill)
	defer stop()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		defer null.Close()
		message := p.settings.share([]string{collectedStage})
		message["input"] = p.info.Inputs[k]
		if st := p.stem.up(pluginsStage); p.stem != nil && st != nil && !slices.Equal(st.args, p.settings.Args) {
			message["where"] = p.settings.moved(st)
		}
		err = proc.stage.send(message, null, null, orNull(p.settings.Stderr, null))
	}
	if err == nil {
		s.info, err = proc.stage.receive()
	}
	switch {
	case err != nil:
	case s.info.Ended != nil:
		err = fmt.Errorf("pytest ended with status %d in the session of worker gw%d", *s.info.Ended, k)
	case !slices.Equal(s.info.Items, p.info.Items):
		err = fmt.Errorf("worker gw%d collected other tests, or in another order", k)
	}
	if err != nil {
		s.consumed = s.info.Ended != nil
		s.end()
		return nil, err
	}
	return s, nil
}

// share is what a process that has loaded the plugins is told to go on with.
func (s *Settings) share(stops []string) map[string]any {
	return map[string]any{"op": "go", "stops": stops, "workers": s.Workers, "dist": s.Dist}
}

func (s *slot) end() {
	switch {
	case s == nil:
	case s.consumed:
		s.process.stage.close()
		s.process.wait()
	default:
		s.process.end()
	}
}

// forSlot returns the process that becomes a slot's worker: the slot itself,
// for plugins see whether the process is the one that they were configured in,
// and for a second one another that collects again.
func (p *Session) forSlot(k int) (*process, error) {
	s := p.slots[k]
	if s.consumed {
		next, err := p.newSlot(context.Background(), k)
		if err != nil {
			return nil, err
		}
		s.end()
		p.slots[k], s = next, next
	}
	s.consumed = true
	return s.process, nil
}
