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

	Unittest *Unittest // for a session without pytest; nil for pytest's
}

// compiled is the file for the compiled modules of this binary's workers.
func (s *Settings) compiled() string {
	if s.CacheDir == "" {
		return ""
	}
	sum := sha256.Sum256(pyworkers.Bundle())
	return filepath.Join(s.CacheDir, "workers", hex.EncodeToString(sum[:8]))
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
	for _, kv := range s.Env {
		fmt.Fprintln(&b, kv)
	}
	return b.String()
}

func (s *Settings) sessionKey() string {
	return fmt.Sprintf("%q %q %q %q %v", s.Dir, s.Args, s.Script, s.Path0, s.Text)
}

// How long what is kept may be used: module-level clocks must not be hours
// old (execution.md, "When a stage may be used").
const (
	interpreterAge = time.Hour
	sessionAge     = 10 * time.Minute
)

// Pool keeps an interpreter that has imported pytest, and the last session
// that was collected in a fork of it. The zero Pool is ready; close it when
// done. Sessions of a pool that was not closed are its own.
type Pool struct {
	mu          sync.Mutex
	interpreter *process
	key         string
	started     time.Time
	last        *Session
	idle        *time.Timer // ends all when no run has come for long
}

// Session returns a collected session for the settings: the last one where it
// can be used again, else a new one. It is in use until Release.
func (p *Pool) Session(ctx context.Context, s Settings) (*Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle != nil {
		p.idle.Stop()
	}
	if last := p.last; last != nil {
		p.last = nil
		if last.key == s.interpreterKey()+s.sessionKey() && last.usable() == "" {
			last.reuse(s)
			return last, nil
		}
		last.Close()
	}
	if err := p.prepare(ctx, s); err != nil {
		return nil, err
	}
	proc, err := p.interpreter.fork(true)
	if err != nil {
		return nil, err
	}
	session := &Session{settings: s, process: proc, key: s.interpreterKey() + s.sessionKey(), keep: true, made: time.Now()}
	if err := session.collect(ctx); err != nil {
		return nil, session.fail(ctx, err)
	}
	return session, nil
}

// prepare has a fresh interpreter at hand.
func (p *Pool) prepare(ctx context.Context, s Settings) error {
	key := s.interpreterKey()
	if p.interpreter != nil {
		if p.key == key && time.Since(p.started) < interpreterAge && p.interpreter.alive() {
			return nil
		}
		p.interpreter.end()
		p.interpreter = nil
	}
	s.Stdin, s.Stdout, s.Stderr = nil, nil, nil // a fork gets those of its run
	proc, err := start(ctx, s)
	if err != nil {
		if proc != nil {
			proc.end()
		}
		return err
	}
	p.interpreter, p.key, p.started = proc, key, time.Now()
	return nil
}

// Release gives a session back. It is kept for a next run where that can be;
// its workers' ends are waited for beside.
func (p *Pool) Release(s *Session) {
	p.mu.Lock()
	go func() {
		defer p.mu.Unlock()
		if p.last != nil || s.usable() != "" {
			s.Close()
		} else {
			n := len(s.workers)
			s.endWorkers()
			s.prepareSpares(n)
			p.last = s
		}
		p.idle = time.AfterFunc(sessionAge, p.Close)
	}()
}

// Close ends all processes. A session that is asked for later starts anew.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle != nil {
		p.idle.Stop()
	}
	if p.last != nil {
		p.last.Close()
		p.last = nil
	}
	if p.interpreter != nil {
		p.interpreter.end()
		p.interpreter = nil
	}
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
	if p.head != nil {
		p.head.Close()
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
