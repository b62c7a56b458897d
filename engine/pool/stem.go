package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/clock"
)

// stem is a process that waits at a stage, and sessions are forks of: an
// interpreter without a project (L0), or one that has read a project's options,
// configuration and plugins (P), that has loaded what is installed, too (H), or
// the project's conftests (B1). It ends when the pool has dropped it and nothing
// is a fork of it.
type stem struct {
	stage   string
	key     string
	vars    []string // the environment that it is in
	started time.Time
	made    chan struct{} // of L0: closed when what follows is there
	process *process
	err     error

	// of P, H and B1
	from   *stem    // what it is a fork of
	head   *heads   // what pytest has printed
	seen   seen     // what was read
	args   []string // pytest's
	places []string // those among them
	wide   string   // names the sessions for other places that can be its forks, too; "" for none

	// of the pool's lock
	users   int
	dropped bool
	spare   *process // the next session's, with its pages touched; nil for none

	// of L0
	learns  sync.Mutex
	learned []learned // the last is the newest
}

// The stages that a session goes through, each at the end of the one before.
const (
	interpreterStage = "L0"
	pluginsStage     = "P"
	hoistedStage     = "H" // beside the others: only forks of one that was made for it come through it
	configStage      = "B1"
	collectedStage   = "L1"
	debugStage       = "debug" // behind L0, of a process that is debugged: it goes on by itself
)

// root is the interpreter.
func (s *stem) root() *stem {
	for s.from != nil {
		s = s.from
	}
	return s
}

// up is the stem at a stage that this one is, or is a fork of; nil for none.
func (s *stem) up(stage string) *stem {
	for s != nil && s.stage != stage {
		s = s.from
	}
	return s
}

// deepest returns the stem from which there is least to do, in use; nil for
// none but an interpreter.
func (p *Pool) deepest(key string, to Settings, d disk) *stem {
	for _, stage := range [...]string{configStage, hoistedStage, pluginsStage} {
		st := p.stemFor(stage, key, to)
		if st == nil {
			continue
		}
		usable := clock.Or(p.Clock).Now().Sub(st.started) < sessionAge && st.process.alive()
		if usable {
			_, changed := st.seen.changed(d)
			usable = !changed
		}
		if usable {
			return st
		}
		p.lose(st)
	}
	return nil
}

// stemFor returns the stem of a stage and key that can tell what it printed to
// the run's files, in use; nil for none.
func (p *Pool) stemFor(stage, key string, to Settings) *stem {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(stage, key, to)
}

// find is stemFor in a pool that is locked.
func (p *Pool) find(stage, key string, to Settings) *stem {
	wide := to.widely(key)
	for i, st := range p.stems {
		if st.stage == stage && (st.key == key || wide != "" && st.wide == wide) && (st.head == nil || st.head.fits(to.Stdout, to.Stderr)) {
			st.users++
			p.stems = append(slices.Delete(p.stems, i, i+1), st)
			return st
		}
	}
	return nil
}

// widely is the key of stems that are for other places, too; key is the
// session's.
func (s *Settings) widely(key string) string {
	places := s.placesKey()
	interpreter, ours := strings.CutSuffix(key, s.sessionKey())
	if places == "" || !ours {
		return ""
	}
	return interpreter + places
}

// add keeps a stem, in use. The pool is locked.
func (p *Pool) add(st *stem) {
	n, first := 0, -1
	for i, old := range p.stems {
		if old.stage == st.stage {
			if n++; first < 0 {
				first = i
			}
		}
	}
	if n >= maxStems {
		p.drop(p.stems[first])
	}
	st.users++
	p.stems = append(p.stems, st)
}

// interpreter returns one that waits for a project; leave it when done.
func (p *Pool) interpreter(ctx context.Context, s Settings, key string) (*stem, error) {
	for {
		st, ours := p.interpreterFor(key, s.Env)
		if ours {
			s.Stdin, s.Stdout, s.Stderr = nil, nil, nil // a fork gets those of its run
			st.process, st.err = start(ctx, s)
			if st.err != nil && st.process != nil {
				st.process.end()
				st.process = nil
			}
			close(st.made)
		}
		<-st.made
		err := st.err
		if err == nil {
			if st.process.alive() {
				return st, nil
			}
			err = errGone
		}
		p.lose(st)
		if ours { // else it may be the other's context that has ended
			return nil, err
		}
	}
}

// interpreterFor returns the interpreter of a key, in use; ours says that it is
// to be started.
func (p *Pool) interpreterFor(key string, vars []string) (st *stem, ours bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st = p.find(interpreterStage, key, Settings{}); st != nil {
		if clock.Or(p.Clock).Now().Sub(st.started) < interpreterAge {
			return st, false
		}
		st.users--
		p.drop(st)
	}
	st = &stem{stage: interpreterStage, key: key, vars: vars, started: clock.Or(p.Clock).Now(), made: make(chan struct{})}
	p.add(st)
	return st, true
}

// drop forgets a stem, and the stems and kept sessions that are its forks. The
// pool is locked.
func (p *Pool) drop(st *stem) {
	if st.dropped {
		return
	}
	st.dropped = true
	p.stems = slices.DeleteFunc(p.stems, func(x *stem) bool { return x == st })
	for _, fork := range slices.Clone(p.stems) {
		if fork.from == st {
			p.drop(fork)
		}
	}
	p.kept = slices.DeleteFunc(p.kept, func(s *Session) bool {
		if s.stem != st {
			return false
		}
		p.discard(s)
		return true
	})
	if st.users == 0 {
		p.end(st)
	}
}

// lose forgets a stem, of which the caller is a user no more.
func (p *Pool) lose(st *stem) {
	p.mu.Lock()
	p.drop(st)
	p.mu.Unlock()
	p.leave(st)
}

// leave says that a user of a stem is no more.
func (p *Pool) leave(st *stem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st.users--; st.users == 0 && st.dropped {
		p.end(st)
	}
}

func (p *Pool) end(st *stem) {
	if st.process == nil {
		return
	}
	p.beside.run(func() {
		if st.spare != nil {
			st.spare.end()
		}
		st.process.end()
		if st.head != nil {
			st.head.close()
		}
		for _, l := range st.remembered() {
			l.file.Close()
		}
		if st.from != nil {
			p.leave(st.from)
		}
	})
}

// fork forks a stem for a session, and says whether the stem was there before.
// One that was just killed, by whomever, is noticed when it does not answer.
func (p *Pool) fork(ctx context.Context, s Settings, interpreter, key string, d disk) (st *stem, proc *process, again bool, err error) {
	for tries := 0; ; tries++ {
		if st = p.deepest(key, s, d); st != nil {
			again = true
		} else if st, err = p.interpreter(ctx, s, interpreter); err != nil {
			return nil, nil, false, err
		}
		if proc = p.spare(st); proc != nil {
			return st, proc, again, nil
		}
		if proc, err = st.process.fork(true); err == nil {
			return st, proc, again, nil
		}
		p.lose(st)
		if tries == len(stages)+1 || !errors.Is(err, errGone) {
			return nil, nil, false, err
		}
	}
}

// forkAhead has the next session of a stem forked already: what an edit leaves
// to be done is collecting, without the fork and most of the copies that it
// makes. It has modules at hand, of those that the stem has not loaded.
func (p *Pool) forkAhead(stage string, r recipe, modules []string) {
	st := p.stemFor(stage, r.key, r.settings)
	if st == nil {
		return
	}
	defer p.leave(st)
	p.mu.Lock()
	there := st.spare != nil && st.spare.alive()
	p.mu.Unlock()
	if there {
		return
	}
	spare, err := st.process.fork(true)
	if err != nil {
		return // the next session will meet the reason
	}
	left := slices.DeleteFunc(slices.Clone(modules), func(path string) bool {
		_, loaded := st.seen.files[path]
		return loaded
	})
	_ = spare.stage.send(map[string]any{"op": "touch", "modules": left[:min(len(left), maxHeld)]})
	p.mu.Lock()
	st.spare, spare = spare, st.spare
	p.mu.Unlock()
	if spare != nil {
		spare.end()
	}
}

// spare returns a stem's, nil for none.
func (p *Pool) spare(st *stem) *process {
	p.mu.Lock()
	spare := st.spare
	st.spare = nil
	p.mu.Unlock()
	if spare != nil && !spare.alive() {
		spare.end()
		return nil
	}
	return spare
}
