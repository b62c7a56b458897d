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
	"github.com/dx-py/dx-py-ls/engine/internal/clock"
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
	At       []int    // where Args has files, folders and ids
	Places   string   // names what the conftests and the configuration depend on of those; "" if that is not known
	CacheDir string   // where compiled modules are kept, "" for nowhere
	Terminal bool     // the processes stay in the caller's group: they may read its terminal

	Stdin          *os.File // nil: /dev/null
	Stdout, Stderr *os.File // nil: /dev/null
	Text           bool     // reports carry their text
	Record         bool     // what is read while the tests are collected is told; always so in a session that is kept

	// Functions has the session tell which functions of the project each test
	// enters. Only an Observer's work does it.
	Functions bool

	Workers int    // that are to share the items, at most; 0 for a session that runs them itself
	Dist    string // pytest-xdist's name of how

	Unittest *Unittest // for a session without pytest; nil for pytest's

	// Coverage has the workers tell which lines of a folder each test runs, and is
	// that folder; "" for none. Only Open knows it.
	Coverage string

	// Debugged has the process wait, before anything of the project is read, until
	// a debugger has attached to the loopback port that it is called with. nil:
	// nobody debugs. Only Open knows it.
	Debugged func(port int)

	beside bool // nobody waits for it: nothing is shown, the files are only like those of a run
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

func (s *Settings) sessionKey() string { return s.keyWith(s.Args) }

// placesKey is the session's key, but for the places that it asks for; "" when
// no other session can be as this one until it collects.
func (s *Settings) placesKey() string {
	if s.Places == "" {
		return ""
	}
	var options []string
	for i, a := range s.Args {
		if !slices.Contains(s.At, i) {
			options = append(options, a)
		}
	}
	return s.Places + "\n" + s.keyWith(options)
}

func (s *Settings) keyWith(args []string) string {
	return fmt.Sprintf("%q %q %q %q %v %d %s %s", s.Dir, args, s.Script, s.Path0, s.Text, s.Workers, s.Dist, shape(s.Stdout, s.Stderr))
}

// asks are the places that the arguments have.
func (s *Settings) asks() []string {
	places := make([]string, len(s.At))
	for i, at := range s.At {
		places[i] = s.Args[at]
	}
	return places
}

// moved is what a process is told that was made for other arguments.
func (s *Settings) moved(from *stem) map[string]any {
	return map[string]any{"args": s.Args, "places": s.asks(), "was": map[string]any{"args": from.args, "places": from.places}}
}

// How long what is kept may be used: module-level clocks must not be hours
// old (execution.md, "When a stage may be used").
const (
	interpreterAge = time.Hour
	sessionAge     = 10 * time.Minute
)

// How many sessions and stems a Pool keeps: a session for each command line that
// is in use at a time, an interpreter for each environment. A session of the 193
// tests takes 35 MB, of which 25 are shared with its interpreter.
const (
	maxSessions = 4
	maxStems    = 4   // of each stage
	maxHeld     = 500 // compiled modules at hand: some 10 MB
)

// Pool keeps interpreters that have imported pytest, and sessions that were
// collected in forks of them: the last few of each, by what they depend on.
// Runs of the same and of different settings may be made at once; a session is
// one run's at a time, and a second run makes another. The zero Pool is ready;
// close it when done.
type Pool struct {
	Clock clock.Clock // nil: the system's

	mu      sync.Mutex
	stems   []*stem             // the last used is the last
	kept    []*Session          // that no run has; the last used is the last
	running int                 // runs that have a session, or will
	last    *recipe             // of the last run's session; nil for none
	making  *refresh            // nil for none
	hoists  *refresh            // what is loaded ahead for it; nil for none
	doubts  map[string][]string // by session: why what was loaded ahead was of no use
	missed  bool                // a Refresh came during a run
	idle    clock.Alarm         // nil: none was set
	cleared bool                // since the last run began
	edited  []string            // files that have outdated sessions; the last is the newest
	old     []*Session          // that end when the run is over which has found them outdated
	beside  errands             // what ends or settles while nobody waits
}

// Session returns a collected session for the settings: a kept one where it
// can be used again, else a new one. It is in use until Release.
func (p *Pool) Session(ctx context.Context, s Settings) (*Session, error) {
	p.mu.Lock()
	p.running++
	p.cleared = false
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
	p.mu.Lock()
	making := p.making
	p.mu.Unlock()
	if making != nil && making.key == key {
		select {
		case <-making.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	d := disk{}
	if kept := p.usable(key, s, d); kept != nil {
		kept.reuse(s)
		return kept, nil
	}
	return p.collect(ctx, s, interpreter, key, d)
}

// usable returns a kept session of a key that is as a new one would be, nil for
// none.
func (p *Pool) usable(key string, to Settings, d disk) *Session {
	for {
		kept := p.take(key, to)
		if kept == nil {
			return nil
		}
		<-kept.settled
		if kept.usable(d) == "" {
			return kept
		}
		path, _ := kept.seen.changed(d)
		p.mu.Lock()
		p.note(path)
		p.old = append(p.old, kept) // ending it takes a processor from what is made instead
		p.mu.Unlock()
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

// discard closes a session that is nobody's, beside.
func (p *Pool) discard(s *Session) {
	p.beside.run(func() {
		<-s.settled
		s.Close()
		p.leave(s.stem)
	})
}

// discardOld closes what runs have found outdated. The pool is locked.
func (p *Pool) discardOld() {
	for _, s := range p.old {
		p.discard(s)
	}
	p.old = nil
}

// Release gives a session back. It is kept for a next run where that can be;
// its workers' ends are waited for beside.
func (p *Pool) Release(s *Session) {
	p.mu.Lock()
	p.again(s)
	p.missed = p.missed || s.seen.racy != ""
	p.mu.Unlock()
	p.keep(s, len(s.workers))
	p.ended()
}

// keep keeps a session where that can be, with so many spares.
func (p *Pool) keep(s *Session, spares int) {
	s.settled = make(chan struct{})
	p.mu.Lock()
	keep := s.single() == "" && !s.stem.dropped
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
		s.endWorkers()
		if keep {
			s.prepareSpares(spares)
		}
	})
}

// parting is how long what has grown old is let be behind a run: who asked for
// it is on its way out, and to end processes takes a processor.
const parting = 20 * time.Millisecond

// ended says that a run is over. When the last one was long ago, all ends.
func (p *Pool) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.old) > 0 {
		p.beside.run(func() {
			time.Sleep(parting)
			p.mu.Lock()
			p.discardOld()
			p.mu.Unlock()
		})
	}
	if p.running--; p.running == 0 {
		if p.idle != nil {
			p.idle.Stop()
		}
		p.idle = clock.Or(p.Clock).AfterFunc(sessionAge, p.clear)
		if p.missed {
			p.missed = false
			p.beside.run(func() { p.Refresh(context.Background()) })
		}
	}
}

// clear ends what no run has.
func (p *Pool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle != nil {
		p.idle.Stop()
	}
	p.forget()
	p.discardOld()
	p.cleared = true
	for len(p.stems) > 0 {
		p.drop(p.stems[0])
	}
}

// wither ends what was still being made for a next run when all was cleared:
// nothing else would. The pool is locked.
func (p *Pool) wither() {
	for p.cleared && p.running == 0 && len(p.stems) > 0 {
		p.drop(p.stems[0])
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
	p.process.stage.conn.Close() // not its alive pipe, which would end it while it says why it ends
	status := p.process.wait()
	p.process.stage.close()
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
