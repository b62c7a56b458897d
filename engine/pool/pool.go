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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// Settings say what pytest is to be run, and how.
type Settings struct {
	Python   string   // the interpreter's absolute path
	Sites    []string // its site-packages folders
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
	Record         bool     // what is read while the tests are collected is told; always so in a session that is kept

	Workers int    // that are to share the items, at most; 0 for a session that runs them itself
	Dist    string // pytest-xdist's name of how

	Unittest *Unittest // for a session without pytest; nil for pytest's
}

// CompiledFolder is the folder in a state folder that holds what all projects
// share.
const CompiledFolder = "workers"

// compiled is the file for the compiled modules of this binary's workers.
func (s *Settings) compiled() string {
	if s.CacheDir == "" {
		return ""
	}
	sum := sha256.Sum256(pyworkers.Bundle())
	return filepath.Join(s.CacheDir, CompiledFolder, hex.EncodeToString(sum[:8]))
}

// key names what an interpreter without a project depends on, and with it what
// a session does.
func (s *Settings) interpreterKey() string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Python, s.runs())
	for _, dir := range s.Sites {
		id, ok := file.StatAny(dir)
		fmt.Fprintln(&b, dir, ok, id)
	}
	vars, _ := environ(s.Env)
	for _, kv := range vars {
		fmt.Fprintln(&b, kv)
	}
	return b.String()
}

func (s *Settings) sessionKey() string {
	return fmt.Sprintf("%q %q %q %q %v %d %s %s", s.Dir, s.Args, s.Script, s.Path0, s.Text, s.Workers, s.Dist, shape(s.Stdout, s.Stderr))
}

// How long what is kept may be used: module-level clocks must not be hours
// old (execution.md, "When a stage may be used").
const (
	interpreterAge = time.Hour
	sessionAge     = 10 * time.Minute
)

// How many sessions and interpreters a Pool keeps: a session for each command
// line that is in use at a time, an interpreter for each environment. A session
// of the 193 tests takes 35 MB, of which 25 are shared with its interpreter.
const (
	maxSessions     = 4
	maxInterpreters = 4
)

// Pool keeps interpreters that have imported pytest, and sessions that were
// collected in forks of them: the last few of each, by what they depend on.
// Runs of the same and of different settings may be made at once; a session is
// one run's at a time, and a second run makes another. The zero Pool is ready;
// close it when done.
type Pool struct {
	mu      sync.Mutex
	bases   []*base    // the last used is the last
	kept    []*Session // that no run has; the last used is the last
	running int        // runs that have a session, or will
	idle    *time.Timer
	beside  errands // what ends or settles while nobody waits
}

// base is an interpreter without a project. It ends when the pool has dropped
// it and no session is a fork of it.
type base struct {
	key     string
	vars    []string // the environment that it was started in
	started time.Time
	made    chan struct{} // closed when what follows is there
	process *process
	err     error

	// of the pool's lock
	users   int
	dropped bool
}

// Session returns a collected session for the settings: a kept one where it
// can be used again, else a new one. It is in use until Release.
func (p *Pool) Session(ctx context.Context, s Settings) (*Session, error) {
	p.mu.Lock()
	p.running++
	if p.idle != nil {
		p.idle.Stop()
	}
	p.mu.Unlock()
	session, err := p.session(ctx, s)
	if err != nil {
		p.ended()
	}
	return session, err
}

func (p *Pool) session(ctx context.Context, s Settings) (*Session, error) {
	interpreter := s.interpreterKey()
	key := interpreter + s.sessionKey()
	for {
		kept := p.take(key, s)
		if kept == nil {
			break
		}
		<-kept.settled
		if kept.usable() == "" {
			kept.reuse(s)
			return kept, nil
		}
		p.discard(kept)
	}
	b, proc, err := p.forkBase(ctx, s, interpreter)
	if err != nil {
		return nil, err
	}
	proc.kin = b.process.kin.session(proc.stage.pid)
	session := &Session{settings: s, process: proc, kin: proc.kin, key: key, base: b, keep: true, made: time.Now()}
	if err := session.collect(ctx); err != nil {
		err = session.fail(ctx, err)
		p.leave(b)
		return nil, err
	}
	return session, nil
}

// forkBase forks an interpreter for a session. One that was just killed, by
// whomever, is noticed when it does not answer.
func (p *Pool) forkBase(ctx context.Context, s Settings, key string) (*base, *process, error) {
	for again := false; ; again = true {
		b, err := p.base(ctx, s, key)
		if err != nil {
			return nil, nil, err
		}
		proc, err := b.process.fork(true)
		if err == nil {
			return b, proc, nil
		}
		p.mu.Lock()
		p.drop(b)
		p.mu.Unlock()
		p.leave(b)
		if again || !errors.Is(err, errGone) {
			return nil, nil, err
		}
	}
}

// take returns the kept session of a key that can tell what it printed to the
// run's files, nil for none.
func (p *Pool) take(key string, to Settings) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.kept) - 1; i >= 0; i-- {
		if s := p.kept[i]; s.key == key && s.head.fits(to.Stdout, to.Stderr) {
			p.kept = slices.Delete(p.kept, i, i+1)
			return s
		}
	}
	return nil
}

// base returns an interpreter that waits for a project; leave it when done.
func (p *Pool) base(ctx context.Context, s Settings, key string) (*base, error) {
	for {
		b, ours := p.baseFor(key, s.Env)
		if ours {
			s.Stdin, s.Stdout, s.Stderr = nil, nil, nil // a fork gets those of its run
			b.process, b.err = start(ctx, s)
			if b.err != nil && b.process != nil {
				b.process.end()
				b.process = nil
			}
			close(b.made)
		}
		<-b.made
		err := b.err
		if err == nil {
			if b.process.alive() {
				return b, nil
			}
			err = errGone
		}
		p.mu.Lock()
		p.drop(b)
		p.mu.Unlock()
		p.leave(b)
		if ours { // else it may be the other's context that has ended
			return nil, err
		}
	}
}

// baseFor returns the interpreter of a key, in use; ours says that it is to be
// started.
func (p *Pool) baseFor(key string, vars []string) (b *base, ours bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.bases {
		if b.key != key {
			continue
		}
		if time.Since(b.started) < interpreterAge {
			b.users++
			p.bases = append(slices.Delete(p.bases, i, i+1), b)
			return b, false
		}
		p.drop(b)
		break
	}
	b = &base{key: key, vars: vars, started: time.Now(), made: make(chan struct{}), users: 1}
	p.bases = append(p.bases, b)
	if len(p.bases) > maxInterpreters {
		p.drop(p.bases[0])
	}
	return b, true
}

// drop forgets an interpreter, and the kept sessions that are its forks. The
// pool is locked.
func (p *Pool) drop(b *base) {
	if b.dropped {
		return
	}
	b.dropped = true
	p.bases = slices.DeleteFunc(p.bases, func(x *base) bool { return x == b })
	p.kept = slices.DeleteFunc(p.kept, func(s *Session) bool {
		if s.base != b {
			return false
		}
		p.discard(s)
		return true
	})
	if b.users == 0 {
		p.end(b)
	}
}

// leave says that a user of an interpreter is no more.
func (p *Pool) leave(b *base) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.users--; b.users == 0 && b.dropped {
		p.end(b)
	}
}

func (p *Pool) end(b *base) {
	if b.process != nil {
		p.beside.run(b.process.end)
	}
}

// discard closes a session that is nobody's, beside.
func (p *Pool) discard(s *Session) {
	p.beside.run(func() {
		<-s.settled
		s.Close()
		p.leave(s.base)
	})
}

// Release gives a session back. It is kept for a next run where that can be;
// its workers' ends are waited for beside.
func (p *Pool) Release(s *Session) {
	s.settled = make(chan struct{})
	p.mu.Lock()
	keep := s.single() == "" && !s.base.dropped
	if keep {
		p.kept = append(p.kept, s)
		if len(p.kept) > maxSessions {
			p.discard(p.kept[0])
			p.kept = slices.Delete(p.kept, 0, 1)
		}
	} else {
		p.discard(s)
	}
	p.mu.Unlock()
	p.beside.run(func() {
		defer close(s.settled)
		n := len(s.workers)
		s.endWorkers()
		if keep {
			s.prepareSpares(n)
		}
	})
	p.ended()
}

// ended says that a run is over. When the last one was long ago, all ends.
func (p *Pool) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running--; p.running == 0 {
		if p.idle != nil {
			p.idle.Stop()
		}
		p.idle = time.AfterFunc(sessionAge, p.clear)
	}
}

// clear ends what no run has.
func (p *Pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle != nil {
		p.idle.Stop()
	}
	for len(p.bases) > 0 {
		p.drop(p.bases[0])
	}
}

// Close ends all processes but those of runs that are not over, which end with
// them. A session that is asked for later starts anew.
func (p *Pool) Close() {
	p.clear()
	p.beside.wait()
}

// Open starts an interpreter for one session and collects. When pytest ends
// before it would run a test (a usage error, errors in collection,
// --collect-only), the session has ended and Ended says how.
func Open(ctx context.Context, s Settings) (*Session, error) {
	session := &Session{settings: s}
	if err := session.restart(ctx); err != nil {
		return nil, session.fail(ctx, err)
	}
	return session, nil
}

// DiedError says that the process ended while pytest read its configuration or
// collected.
type DiedError struct{ How string }

func (e *DiedError) Error() string {
	return fmt.Sprintf("the Python process ended before all tests were collected: %s", e.How)
}

// fail closes a session that did not come to be, and says why.
func (p *Session) fail(ctx context.Context, err error) error {
	if p.process == nil {
		return err
	}
	p.process.stage.close()
	status := p.process.wait()
	p.process.kin.end()
	p.endTemplate()
	if p.head != nil {
		p.head.close()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errGone) {
		return &DiedError{how(status)}
	}
	return err
}

// changed reports whether a file that was read while a stage was made is no
// longer what it was.
func changed(seen map[string]file.Identity) (string, bool) {
	for path, id := range seen {
		if now, ok := file.StatAny(path); now != id || ok != (id != file.Identity{}) {
			return path, true
		}
	}
	return "", false
}

// identities is what the files are now. Of one that changed while, or just
// before, the stage was made nobody knows which state was read.
func identities(paths []string, began time.Time) (seen map[string]file.Identity, racy string) {
	seen = make(map[string]file.Identity, len(paths))
	since := began.UnixNano() - file.RacyWindowNs
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		id, _ := file.StatAny(p)
		if max(id.CtimeNs, id.MtimeNs) >= since {
			racy = p
		}
		seen[p] = id
	}
	return seen, racy
}
