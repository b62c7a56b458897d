package server

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// found is what the client knows of the tests, and who waits for it to know
// more.
type found struct {
	pending // what makes the client's knowledge old

	mu         sync.Mutex
	generation int64
	shown      int64 // how often the client was told of tests that only a run shows

	listed bool                                 // the client asked for all files
	again  bool                                 // and they may be others now
	tier   map[testproto.Ref]testproto.TestItem // what it has of them
	turned []turned                             // results that became stale, or good again
}

func newFound(before int) found {
	return found{pending: newPending(), generation: int64(before) << 32}
}

func (f *found) next() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	return f.generation
}

// nextShown is next for tests that only a run shows.
func (f *found) nextShown() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	f.shown++
	return f.generation
}

func (f *found) runShown() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

// list notes what a client has been told of the files.
func (f *found) list(tests []testproto.TestItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed = true
	f.tier = byRef(tests)
}

func byRef(tests []testproto.TestItem) map[testproto.Ref]testproto.TestItem {
	out := make(map[testproto.Ref]testproto.TestItem, len(tests))
	for _, t := range tests {
		out[testproto.Ref{Root: t.Root, ID: t.ID}] = t
	}
	return out
}

// due says that what the client has is old.
func (s *server) due() { s.found.due() }

// listAgain says that there may be other files with tests.
func (s *server) listAgain() {
	s.found.mu.Lock()
	s.found.again = true
	s.found.mu.Unlock()
	s.due()
}

// turn queues results whose staleness has changed.
func (s *server) turn(ts []turned) {
	if len(ts) == 0 {
		return
	}
	s.found.mu.Lock()
	s.found.turned = append(s.found.turned, ts...)
	s.found.mu.Unlock()
}

// synchronize waits until what was sent before has had its effect.
func (s *server) synchronize(ctx context.Context, p *testproto.SynchronizeParams) error {
	all := !p.Discovery && !p.Runs && !p.Graph
	if p.Runs || all {
		s.runs.wait(ctx)
	}
	if p.Graph || all {
		s.passAll(ctx)
		s.following.wait(ctx, s.base)
	}
	if p.Discovery || all {
		s.found.wait(ctx, s.base)
	}
	return ctx.Err()
}

// publish brings the client up to date whenever that is due, until ctx ends.
func (s *server) publish(ctx context.Context) {
	p := &publisher{s: s, diagnostics: map[string]sent{}, tests: map[string]*toldTests{}}
	s.found.loop(ctx, func() {
		s.found.mu.Lock()
		ts := s.found.turned
		s.found.turned = nil
		again := s.found.again && s.found.listed
		if again {
			s.found.again = false
		}
		s.found.mu.Unlock()
		p.stale(ts)
		p.documents(ctx)
		if again {
			p.files()
		}
	})
}

// publisher remembers what the client has: what was sent last is not sent
// again.
type publisher struct {
	s           *server
	diagnostics map[string]sent       // by path
	tests       map[string]*toldTests // what the client has of open documents, by path
}

// stale tells of results whose file has changed, or is again what ran.
func (p *publisher) stale(ts []turned) {
	if len(ts) == 0 || !p.s.can.tests {
		return
	}
	var changes []testproto.Change
	for _, t := range ts {
		k, stale := p.s.results.of(t.path, t.name)
		if k != t.known {
			continue // it ran again meanwhile
		}
		c := p.s.change(t.folder, t.path, t.name, t.Result)
		if c.Cached = k.restored; stale {
			c = testproto.Change{Ref: c.Ref, State: testproto.Stale}
		}
		changes = append(changes, c)
	}
	if len(changes) > 0 {
		p.s.tell(testproto.MethodTestStates, testproto.StatesParams{Changes: changes})
	}
}

// documents sends problems and tests of the open documents.
func (p *publisher) documents(ctx context.Context) {
	s := p.s
	s.mu.Lock()
	open := make([]*document, 0, len(s.docs))
	for _, d := range s.docs {
		open = append(open, d)
	}
	s.mu.Unlock()
	slices.SortFunc(open, func(a, b *document) int { return cmp.Compare(a.path, b.path) })
	current := map[string]bool{}
	for _, d := range open {
		if ctx.Err() != nil {
			return
		}
		current[d.path] = true
		p.problems(ctx, d)
		if s.can.tests {
			p.document(d)
		}
	}
	for path := range p.diagnostics {
		if !current[path] {
			p.clear(ctx, path)
		}
	}
	for path := range p.tests {
		if !current[path] {
			delete(p.tests, path)
		}
	}
}

// files sends which files with tests have come and gone.
func (p *publisher) files() {
	s := p.s
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	r := testproto.DiscoverResult{Tests: []testproto.TestItem{}}
	var all []testproto.TestItem
	for _, f := range folders {
		if !f.implicit && !f.closed {
			all = append(all, s.tier(f)...)
		}
	}
	now := byRef(all)
	s.found.mu.Lock()
	before := s.found.tier
	s.found.tier = now
	s.found.mu.Unlock()
	for _, t := range all {
		old, had := before[testproto.Ref{Root: t.Root, ID: t.ID}]
		old.SortText = t.SortText // a file that comes moves all behind it
		if !had || !same(old, t) {
			r.Tests = append(r.Tests, t)
		}
	}
	for ref := range before {
		if _, still := now[ref]; !still {
			r.Removed = append(r.Removed, ref)
		}
	}
	if len(r.Tests)+len(r.Removed) == 0 || !s.can.tests {
		return
	}
	slices.SortFunc(r.Removed, func(a, b testproto.Ref) int { return cmp.Or(cmp.Compare(a.Root, b.Root), cmp.Compare(a.ID, b.ID)) })
	r.Generation = s.found.next()
	s.tell(testproto.MethodDiscoveredTests, r)
}

func same(a, b testproto.TestItem) bool {
	return a.Kind == b.Kind && a.Label == b.Label && a.URI == b.URI && a.Parent == b.Parent && a.Error == b.Error
}
