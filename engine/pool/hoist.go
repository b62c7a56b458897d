package pool

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/clock"
)

// errDoubt says that a fork of a process that has loaded what is installed
// imports something in another way than was recorded.
var errDoubt = errors.New("what is imported differs from the session before")

const (
	// maxTries is how many processes are made to find what can be loaded ahead:
	// what cannot may take along what it loads.
	maxTries = 6
	// maxDoubts is how often a session's imports may turn out to differ before
	// nothing is loaded ahead for it any more.
	maxDoubts = 5
)

// hoist makes a stem that has loaded the installed modules that a recipe's
// session imports, so that a session that is made anew has only the project's
// to load (pyworkers/dxworker/shelf.py). A session like it is made to record
// them, so nothing here is for anybody who waits.
func (p *Pool) hoist(ctx context.Context, r recipe) {
	p.mu.Lock()
	there := p.find(hoistedStage, r.key, r.settings)
	hopeless := len(p.doubts[r.key]) >= maxDoubts
	p.mu.Unlock()
	if there != nil {
		_, changed := there.seen.changed(disk{})
		if !changed && there.process.alive() {
			p.leave(there)
			return
		}
		p.lose(there)
	}
	if hopeless {
		return
	}
	st := p.stemFor(pluginsStage, r.key, r.settings)
	if st == nil {
		return
	}
	defer p.leave(st)
	record, err := p.fromPlugins(ctx, st, r, map[string]any{"shelf": map[string]any{}, "stops": []string{collectedStage}})
	if err != nil {
		return
	}
	imports := record.info.Imports
	record.Close()
	if record.info.Ended != nil || len(imports) == 0 {
		return
	}
	unsafe := map[string]string{}
	for range maxTries {
		told := map[string]any{"record": json.RawMessage(imports), "without": unsafe}
		s, err := p.fromPlugins(ctx, st, r, map[string]any{"shelf": told, "stops": []string{hoistedStage}})
		if err != nil {
			return
		}
		if len(s.info.Unsafe) > 0 {
			maps.Copy(unsafe, s.info.Unsafe)
			s.Close()
			continue
		}
		if s.info.Shared == "" && s.info.Threads == "" && s.seen.racy == "" {
			p.plantHoisted(s)
		} else {
			s.Close()
		}
		return
	}
}

// fromPlugins has a fork of a stem with a project's plugins go on as it is told
// to; nobody else is told of it.
func (p *Pool) fromPlugins(ctx context.Context, st *stem, r recipe, to map[string]any) (*Session, error) {
	s := &Session{settings: r.settings, vars: r.settings.Env, key: r.key, keep: true, clock: clock.Or(p.Clock), stem: st, made: st.started}
	began := time.Now()
	_, changed := st.seen.changed(disk{})
	if changed {
		return nil, errGone
	}
	var err error
	if s.process, err = st.process.fork(true); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.process.kill)
	defer stop()
	if err = s.advance(true, true, began, to); err != nil {
		return nil, s.fail(ctx, err)
	}
	s.head.finish()
	return s, nil
}

// plantHoisted makes the process of a session a stem.
func (p *Pool) plantHoisted(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := s.asStem()
	st.from.users++
	if st.dropped = st.from.dropped; st.dropped {
		p.end(st)
		return
	}
	p.add(st)
	st.users-- // the pool's only
}

// doubt drops the stem that a session's process was a fork of, and remembers
// that it was of no use.
func (p *Pool) doubt(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := s.stem.up(hoistedStage)
	if st == nil {
		p.drop(s.stem)
		return
	}
	p.drop(st)
	if p.doubts == nil || len(p.doubts) > 100 {
		p.doubts = map[string][]string{}
	}
	p.doubts[s.key] = append(p.doubts[s.key], s.info.Doubt)
}
