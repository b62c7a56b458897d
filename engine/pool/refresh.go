package pool

import (
	"context"
	"os"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// recipe is how the session of the last run is made again.
type recipe struct {
	key      string
	settings Settings
	workers  int

	terminals []*os.File // like the run's, which may be closed by now
}

// refresh is a session that is being made beside.
type refresh struct {
	key    string
	cancel func()
	done   chan struct{} // closed when it is there, or has failed
}

// Refresh makes the session of the last run anew if it is outdated, while
// nobody waits for it: a run that comes meanwhile has it. During runs it does
// nothing yet; what has changed then is looked at when they are over. One that
// is under way is given up, for it may hang in what has just been edited.
func (p *Pool) Refresh(ctx context.Context) {
	select { // or what has just changed would be in doubt, see look
	case <-time.After(file.RacyWindowNs):
	case <-ctx.Done():
		return
	}
	p.mu.Lock()
	for p.making != nil || p.hoists != nil {
		before := p.making
		if before == nil {
			before = p.hoists
		}
		p.mu.Unlock()
		before.cancel()
		<-before.done
		p.mu.Lock()
	}
	if p.missed = p.running > 0; p.missed || p.last == nil {
		p.mu.Unlock()
		return
	}
	r := *p.last
	ctx, cancel := context.WithCancel(ctx)
	m := &refresh{key: r.key, cancel: cancel, done: make(chan struct{})}
	p.making = m
	p.mu.Unlock()
	defer func() {
		cancel()
		p.mu.Lock()
		p.making = nil
		p.wither()
		p.mu.Unlock()
		close(m.done)
	}()
	if used, ok := p.remake(ctx, r); ok {
		p.ahead(r, used)
	}
}

// ahead has beside what the next session would load from elsewhere loaded
// already. The next Refresh gives it up.
func (p *Pool) ahead(r recipe, used sources) {
	ctx, cancel := context.WithCancel(context.Background())
	h := &refresh{key: r.key, cancel: cancel, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hoists != nil || p.last == nil || p.last.key != r.key {
		cancel()
		return
	}
	p.hoists = h
	p.beside.run(func() {
		p.forkAhead(configStage, r, used.modules)
		if p.hoist(ctx, r); ctx.Err() == nil {
			p.forkAhead(hoistedStage, r, used.modules)
			p.learn(ctx, r, used)
		}
		cancel()
		p.mu.Lock()
		p.hoists = nil
		p.wither()
		p.mu.Unlock()
		close(h.done)
	})
}

// remake reports whether the session is there, with the files that it is of.
func (p *Pool) remake(ctx context.Context, r recipe) (u sources, ok bool) {
	interpreter := r.settings.interpreterKey()
	if interpreter+r.settings.sessionKey() != r.key {
		return u, false // the interpreter is another now
	}
	defer func() {
		p.mu.Lock()
		p.discardOld()
		p.mu.Unlock()
	}()
	d := disk{}
	s := p.usable(r.key, r.settings, d)
	if s == nil {
		var err error
		if s, err = p.collect(ctx, r.settings, interpreter, r.key, d); err != nil {
			return u, false // the next run will meet the reason, and tell it
		}
	}
	u = s.sources()
	p.keep(s, r.workers)
	return u, true
}

// again remembers how a session was made, where another like it could be kept:
// what a project does to others while it is collected is for runs only. The
// pool is locked.
func (p *Pool) again(s *Session) {
	if s.info.Shared != "" || s.info.Threads != "" || s.slots != nil || s.robbed {
		p.forget()
		return
	}
	workers := max(len(s.workers), 1)
	if p.last != nil && p.last.key == s.key {
		p.last.settings.Env, p.last.workers = s.vars, workers
		return
	}
	p.forget()
	r := &recipe{key: s.key, settings: s.settings, workers: workers}
	r.settings.beside = true
	var err error
	r.settings.Stdin = nil
	if r.settings.Stdout, err = r.like(s.head.out); err == nil {
		if r.settings.Stderr = r.settings.Stdout; s.head.err != s.head.out {
			r.settings.Stderr, err = r.like(s.head.err)
		}
	}
	if err != nil {
		r.close()
		return // the next run makes its session itself
	}
	p.last = r
}

// like returns a terminal like that of a head, nil for none.
func (r *recipe) like(h *head) (*os.File, error) {
	if h.terminal == nil {
		return nil, nil
	}
	master, slave, err := terminal(h.file)
	if err == nil {
		r.terminals = append(r.terminals, master, slave)
	}
	return slave, err
}

func (r *recipe) close() {
	for _, f := range r.terminals {
		f.Close()
	}
}

// forget has no session made anew. The pool is locked.
func (p *Pool) forget() {
	if p.making != nil {
		p.making.cancel()
	}
	if p.hoists != nil {
		p.hoists.cancel()
	}
	if p.last != nil {
		p.last.close()
		p.last = nil
	}
}
