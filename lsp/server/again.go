package server

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/watch"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// again is what a continuous run waits for. edits is under runs.mu.
type again struct {
	edits map[*folder]*edits
	kick  chan struct{} // one slot
}

// edits are paths that have changed, with whether they came meanwhile; all
// stands for any.
type edits struct {
	paths map[string]bool
	all   bool
}

func newAgain() *again { return &again{map[*folder]*edits{}, make(chan struct{}, 1)} }

// edited tells continuous runs what has changed on disk.
func (r *runs) edited(f *folder, batch watch.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.live {
		if x.again == nil {
			continue
		}
		e := x.again.edits[f]
		if e == nil {
			e = &edits{paths: map[string]bool{}}
			x.again.edits[f] = e
		}
		e.all = e.all || batch.Bulk
		for _, c := range batch.Changes {
			e.paths[c.Path] = e.paths[c.Path] || batch.Came[c.Path]
		}
		select {
		case x.again.kick <- struct{}{}:
		default:
		}
	}
}

// take takes the edits of a run. While tests run these are those of code only:
// of other files nobody knows whether the tests write them. A file that has
// ended a round may be theirs too.
func (r *runs) take(x *testRun, running bool, ended map[string]bool) map[*folder]*edits {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[*folder]*edits{}
	for f, e := range x.again.edits {
		if !running {
			out[f] = e
			delete(x.again.edits, f)
			continue
		}
		now := &edits{paths: map[string]bool{}}
		for p, came := range e.paths {
			if strings.HasSuffix(p, ".py") && !ended[p] {
				now.paths[p] = came
				delete(e.paths, p)
			}
		}
		if len(now.paths) > 0 {
			out[f] = now
		}
	}
	return out
}

// rest says whether a continuous run waits for edits.
func (r *runs) rest(x *testRun, idle bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x.idle = idle
	close(r.changed)
	r.changed = make(chan struct{})
}

// continuously runs tests again and again, until the run is cancelled.
func (s *server) continuously(r *testRun) error {
	owed, ended := r.parts, map[string]bool{}
	for r.ctx.Err() == nil {
		round := owed
		owed = nil
		ctx, cancel := context.WithCancelCause(r.ctx)
		done := make(chan error, 1)
		go func() { done <- s.runAll(ctx, r, round) }()
		running := true
		var cause []string
		for running || len(owed) == 0 && r.ctx.Err() == nil {
			select {
			case err := <-done:
				if running = false; err != nil && r.ctx.Err() == nil {
					r.announce.says(testproto.OutputParams{Stream: "stderr", Text: err.Error() + "\n"})
				}
				if len(owed) == 0 {
					clear(ended)
					r.announce.conclude()
					for _, p := range round {
						p.folder.engine().Settle() // which files the tests write
					}
				}
			case <-r.again.kick:
			case <-r.ctx.Done():
				if running {
					<-done
					running = false
				}
			}
			paths, parts := s.reached(r, s.runs.take(r, running, ended))
			if len(parts) > 0 {
				if running {
					for _, p := range paths {
						ended[p] = true
					}
					cancel(run.Interrupted)
				}
				owed, cause = append(owed, parts...), append(cause, paths...)
			}
			if !running && len(owed) == 0 && r.ctx.Err() == nil {
				s.runs.rest(r, true)
				s.ranParts()
			}
		}
		cut := ctx.Err() != nil
		cancel(nil)
		if r.ctx.Err() != nil {
			return nil
		}
		if cut {
			owed = append(owed, round...)
		}
		s.runs.rest(r, false)
		owed = joined(owed)
		r.status, r.totals = 0, map[string]int{}
		r.announce.restart(s.restarted(r, owed, cause))
	}
	return nil
}

// restarted is what the client is told of a round.
func (s *server) restarted(r *testRun, parts []*part, cause []string) testproto.RestartedParams {
	p := testproto.RestartedParams{RunID: r.id, Enqueued: []testproto.Ref{}, Cause: []string{}}
	slices.Sort(cause)
	for _, path := range slices.Compact(cause) {
		p.Cause = append(p.Cause, string(s.uriOf(path)))
	}
	for _, pt := range parts {
		items, err := s.listed(pt)
		if err != nil {
			continue // its run will say why
		}
		root := pt.folder.rootOf()
		for _, it := range items {
			path, name := keyOf(it)
			p.Enqueued = append(p.Enqueued, pt.folder.refOf(root, key{path, name}))
		}
	}
	return p
}

// joined has one part for each folder.
func joined(parts []*part) (out []*part) {
	for _, p := range parts {
		at := slices.IndexFunc(out, func(o *part) bool { return o.folder == p.folder })
		if at < 0 {
			one := *p
			one.keys = nil
			out = append(out, &one)
			at = len(out) - 1
		}
		if o := out[at]; p.whole {
			o.keys, o.whole = nil, true
		}
		out[at].seen = out[at].seen || p.seen
		for _, k := range p.keys {
			out[at].add(k, "")
		}
	}
	return out
}

// reached are the parts of a run that edits reach, and the files that reach
// them.
func (s *server) reached(r *testRun, now map[*folder]*edits) (paths []string, out []*part) {
	for _, p := range r.parts {
		e := now[p.folder]
		if e == nil {
			continue
		}
		if e.all {
			out = append(out, p)
			continue
		}
		differs := slices.Sorted(maps.Keys(e.paths))
		found, counted, err := s.dependents(p, differs, e.paths)
		if err != nil {
			out, paths = append(out, p), append(paths, differs...) // pytest will say what is wrong
			continue
		}
		if found != nil {
			out, paths = append(out, found), append(paths, counted...)
		}
	}
	return paths, out
}

// foreign are the files that the tests do not write themselves, and their names
// relative to the root.
func foreign(changed, written []string, rel func(path string) string) (paths, rels []string) {
	for _, path := range changed {
		if r := rel(path); !slices.Contains(written, r) {
			paths, rels = append(paths, path), append(rels, r)
		}
	}
	return paths, rels
}

// dependents are what a part has of tests that files reach, nil for none: by
// functions only those that are due, where an audit has shown that this can be
// done. counted are those of the files that the tests do not write themselves.
func (s *server) dependents(p *part, changed []string, came map[string]bool) (found *part, counted []string, err error) {
	snap := p.folder.ws.Disk()
	cfg, env, err := snap.Configure()
	if err != nil {
		return nil, nil, err
	}
	q := p.request(s, cfg, env)
	on, err := engine.Dependence(snap, &q)
	if err != nil {
		return nil, nil, err
	}
	counted, rels := foreign(changed, on.Opened.Written, on.Rel)
	if len(rels) == 0 {
		return nil, nil, nil
	}
	items, err := s.listed(p)
	if err != nil {
		return nil, nil, err
	}
	edit := plan.Edit{Paths: rels}
	for i, path := range counted {
		if came[path] || !file.IsRegular(path) {
			edit.Moved = append(edit.Moved, rels[i])
		}
	}
	c := on.Reach(edit)
	one := *p
	one.keys, one.whole = nil, false
	var reached []*pytest.Item
	for _, it := range items {
		if _, yes := c.Reason(it); yes {
			reached = append(reached, it)
		}
	}
	var reasons []plan.Reason
	if reasons, one.seen = engine.ByFunctions(snap, &q, reached); !one.seen {
		reasons = make([]plan.Reason, len(reached))
	}
	parted := map[string]bool{} // files of which some tests are not due
	for i, it := range reached {
		parted[it.Path] = parted[it.Path] || one.seen && !reasons[i].Due
	}
	for i, it := range reached {
		if !one.seen || reasons[i].Due {
			one.take(p, it, parted[it.Path])
		}
	}
	if len(one.keys) == 0 {
		return nil, nil, nil
	}
	return &one, counted, nil
}

// take has a part run a test as another one has it: its file, when it need not
// be by itself, or the key in it.
func (p *part) take(from *part, it *pytest.Item, itself bool) {
	path, name := keyOf(it)
	file := key{path, ""}
	if itself {
		file.name = name
	}
	for _, k := range from.keys {
		if k.path == path && k.name != "" {
			if k.covers(path, name) || strings.HasPrefix(k.name, name+"[") {
				p.add(k, "")
			}
			continue
		}
		if k.covers(path, name) {
			p.add(file, "")
		}
	}
	if from.whole {
		p.add(file, "")
	}
}
