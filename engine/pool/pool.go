// Package pool keeps Python processes that hold a pytest session at one of its
// stages, and forks workers from them.
package pool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// Settings say what pytest is to be run, and how.
type Settings struct {
	Python   string   // the interpreter's absolute path
	Dir      string   // working directory
	Env      []string // KEY=VALUE
	Args     []string // pytest's arguments
	Script   string   // sys.argv[0]
	Path0    string   // first entry of sys.path, "" for none
	CacheDir string   // where compiled modules are kept, "" for nowhere
	Terminal bool     // the processes stay in the caller's group: they may read its terminal

	Stdin          *os.File // nil: /dev/null
	Stdout, Stderr *os.File // nil: /dev/null
	Text           bool     // reports carry their text
}

// compiled is the file for the compiled modules of this binary's workers.
func (s *Settings) compiled() string {
	if s.CacheDir == "" {
		return ""
	}
	sum := sha256.Sum256(pyworkers.Bundle())
	return filepath.Join(s.CacheDir, "workers", hex.EncodeToString(sum[:8]))
}

// Session is one pytest session, collected, with workers that run its items.
// It implements run.Workers.
type Session struct {
	settings Settings
	info     reply
	ended    *int

	mu      sync.Mutex
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has ended
	top     *stage        // nil when the collected process itself became a worker
	runs    uint32
	workers []*worker
}

// Open starts the interpreter and collects. When pytest ends before it would
// run a test (a usage error, errors in collection, --collect-only), the
// session has ended and Ended says how.
func Open(ctx context.Context, s Settings) (*Session, error) {
	p := &Session{settings: s}
	if err := p.collect(ctx); err != nil {
		p.Close()
		return nil, p.failure(ctx, err)
	}
	p.ended = p.info.Ended
	return p, nil
}

// collect brings a process to the stage where all is collected.
func (p *Session) collect(ctx context.Context) error {
	s := &p.settings
	st, cmd, err := interpreter(*s)
	if err != nil {
		return err
	}
	p.cmd, p.top, p.exited = cmd, st, make(chan struct{})
	go func(exited chan struct{}) { _ = cmd.Wait(); close(exited) }(p.exited)
	stop := context.AfterFunc(ctx, func() { kill(cmd) })
	defer stop()
	if _, err := st.receive(); err != nil {
		return err
	}
	if err := st.send(map[string]any{
		"op": "go", "stops": []string{"L1"}, "argv": append([]string{s.Script}, s.Args...), "args": s.Args, "dir": s.Dir, "path0": s.Path0,
	}); err != nil {
		return err
	}
	p.info, err = st.receive()
	return err
}

// failure says why a session did not come to be.
func (p *Session) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errGone) && p.exited != nil {
		return &DiedError{State: p.cmd.ProcessState} // it has ended: Close has waited
	}
	return err
}

// DiedError says that the process ended while pytest read its configuration or
// collected.
type DiedError struct{ State *os.ProcessState }

func (e *DiedError) Error() string {
	return fmt.Sprintf("the Python process ended before all tests were collected (%v)", e.State)
}

// Ended is pytest's exit status when it ended without running tests.
func (p *Session) Ended() (status int, ended bool) {
	if p.ended == nil {
		return 0, false
	}
	return *p.ended, true
}

// Items lists what was collected, in pytest's order.
func (p *Session) Items() []run.Item {
	out := make([]run.Item, len(p.info.Items))
	for i, it := range p.info.Items {
		out[i] = run.Item{ID: it.ID, Path: it.Path, Line: it.Line, Group: it.Group}
	}
	return out
}

// Options say how the items will be run on one worker.
func (p *Session) Options() run.Options {
	return run.Options{Workers: 1, Mode: p.info.Mode, Reason: p.info.Reason, MaxFail: p.info.MaxFail}
}

// Alone is why all items have to run on one worker, "" when they need not.
func (p *Session) Alone() string {
	if p.info.Alone == "" {
		return p.info.Threads
	}
	return p.info.Alone
}

// Close ends all processes. It returns when they are gone.
func (p *Session) Close() {
	for _, w := range p.workers {
		w.close()
	}
	if p.cmd != nil {
		p.endProcess()
	}
}

// endProcess ends the process that was started, with its forks.
func (p *Session) endProcess() {
	if p.top != nil {
		_ = p.top.send(map[string]any{"op": "exit"})
		p.top.close()
		p.top = nil
	}
	select {
	case <-p.exited:
	case <-time.After(2 * time.Second): // a stage answers in microseconds; only a stuck one does not
		kill(p.cmd)
		<-p.exited
	}
}

// Start makes a worker: a fork, or where threads run in the collected process
// that process itself, and for a second one another that collects again. What
// it says goes to the channel, which has to be read until Gone has come.
func (p *Session) Start(role run.Role, id, slot, runners int, to chan<- run.Signal) (run.Worker, error) {
	ch, err := newChannel()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	st, forked, err := p.forWorker()
	if err == nil {
		p.runs++
		err = st.send(map[string]any{
			"op": "go", "run": p.runs, "role": role, "slot": slot, "runners": runners, "text": p.settings.Text, "silent": p.settings.Stdout == nil,
		}, ch.file, ch.toWorker, ch.toEngine, ch.out, ch.err)
	}
	if err != nil {
		if st != nil {
			st.close()
		}
		ch.Close()
		return nil, err
	}
	w := &worker{
		session: p, id: id, stage: st, forked: forked, ch: ch, down: ring.Down(ch.mem), up: ring.Up(ch.mem), signals: to, gone: make(chan struct{}),
	}
	p.workers = append(p.workers, w)
	go w.watch()
	w.read.Add(1)
	go w.listen()
	return w, nil
}

// forWorker returns the stage that becomes a worker.
func (p *Session) forWorker() (st *stage, forked bool, err error) {
	if p.info.Threads == "" {
		st, err = p.top.fork(map[string]any{})
		return st, true, err
	}
	if p.top == nil {
		<-p.exited
		before := p.info.Items
		if err := p.collect(context.Background()); err != nil {
			return nil, false, err
		}
		if p.info.Ended != nil || !slices.Equal(before, p.info.Items) {
			return nil, false, errors.New("a worker died, and collecting again found other tests")
		}
	}
	st, p.top = p.top, nil
	return st, false, nil
}
