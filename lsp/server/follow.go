package server

import (
	"context"
	"maps"
	"slices"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// followed is what the goroutine of follow knows of a folder.
type followed struct {
	recalled bool          // the results of earlier runs are known
	disk     history.State // of the project, at the last look
	looks    int           // counts them
	states   map[*state]*reach
}

// reach is what differs from a state, and when that was found.
type reach struct {
	differs []string // on disk, relative to the rootdir
	looked  int
	told    string // what differed when the results were last judged
}

// follow keeps up with what takes longer than a keystroke may: what runs have
// taught, and what results depend on. It never holds up diagnostics.
func (s *server) follow(ctx context.Context) {
	known := map[*folder]*followed{}
	s.following.loop(ctx, func() {
		s.mu.Lock()
		folders := slices.Clone(s.folders)
		s.mu.Unlock()
		maps.DeleteFunc(known, func(f *folder, _ *followed) bool { return !slices.Contains(folders, f) })
		for _, f := range folders {
			if ctx.Err() != nil {
				return
			}
			if known[f] == nil {
				known[f] = &followed{states: map[*state]*reach{}}
			}
			s.followFolder(f, known[f])
		}
	})
}

func (s *server) followFolder(f *folder, w *followed) {
	if f.ran.Swap(false) {
		f.engine().Settle()
		s.mu.Lock()
		if !f.closed {
			f.ws.Apply(workspace.Update{Disk: true}) // cases that are known now
		}
		s.mu.Unlock()
		f.moved.Store(true)
		s.listAgain()
	}
	snap := f.ws.Disk()
	cfg, env, err := snap.Configure()
	if err != nil || snap.StateDir() == "" {
		return // without state nobody knows what the tests write themselves
	}
	whole := part{folder: f, whole: true}
	r := whole.request(s, cfg, env)
	r.Static = true
	if f.moved.Swap(false) || w.disk == nil {
		w.disk = workspace.StateOf(r.State, cfg, r.Env)
		w.looks++
		if f.setDue(s.lookDue(snap, &r)) {
			defer s.redraw(s.base)
		}
	}
	var ts []turned
	if !w.recalled {
		w.recalled = true
		ts = s.recall(f, &r, w.disk)
	}
	ts = append(ts, s.judge(f, w, snap, &r)...)
	if len(ts) > 0 {
		s.turn(ts)
		s.due()
		s.redraw(s.base)
	}
}

// judge marks the results that depend on what is not any more as it was when
// they ran, on disk or in a buffer. Returned are those for which that is news.
//
// The graph is that of the disk, which stays across keystrokes: a path that it
// lacks leads over a file that differs itself.
func (s *server) judge(f *folder, w *followed, snap *workspace.Snapshot, r *engine.Request) (ts []turned) {
	groups := s.results.byState(f, r.Root)
	maps.DeleteFunc(w.states, func(st *state, _ *reach) bool { return groups[st] == nil })
	if len(groups) == 0 {
		return nil
	}
	buffers := map[string]*document{}
	s.mu.Lock()
	for path, d := range s.docs {
		if rel, in := file.Rel(r.Root, path); in {
			buffers[rel] = d
		}
	}
	s.mu.Unlock()
	narrow := engine.Narrowing(r)
	defer narrow.Close()
	now := w.disk
	if narrow != nil {
		now = maps.Clone(w.disk)
		for rel, d := range buffers {
			narrow.Shapes.Add(d.text)
			now[rel] = d.digest
		}
	}
	var on *plan.Due
	reached := map[string]*plan.Reached{} // states may differ from now in the same
	for st, keys := range groups {
		x := w.states[st]
		if x == nil {
			x = &reach{looked: -1}
			w.states[st] = x
		}
		again := x.looked != w.looks
		if again {
			x.differs, x.looked = st.files.Differs(w.disk), w.looks
		}
		differs := slices.Clone(x.differs)
		for rel, d := range buffers {
			if st.files[rel] != d.digest {
				differs = append(differs, rel)
			}
		}
		slices.Sort(differs)
		differs = slices.Compact(differs)
		edit := plan.NewEdit(differs, st.files, w.disk)
		text := edit.Key()
		if narrow != nil { // what differs in them matters too
			for _, rel := range differs {
				text += "\x00" + now[rel]
			}
		}
		if !again && text == x.told {
			continue
		}
		x.told = text
		if reached[text] == nil && len(differs) > 0 {
			if on == nil {
				var err error
				if on, err = engine.Dependence(snap, r); err != nil {
					return ts
				}
				if on.Narrow, on.Now = narrow, now; narrow != nil {
					_ = narrow.Shapes.Learn(r.Root, now) // before anybody waits for the results
				}
			}
			reached[text] = on.Reach(edit)
		}
		was := &history.Known{State: st.files}
		ts = append(ts, s.results.judge(f, keys, func(k key, id string) *plan.Reason {
			if c := reached[text]; c != nil {
				it := &pytest.Item{ID: id, Path: k.path}
				if why, yes := c.Reason(it); yes && !why.Itself {
					if _, same := on.Same(was, it); !same {
						return &why
					}
				}
			}
			return nil
		})...)
	}
	return ts
}

// recall takes over how the tests ended in earlier runs.
func (s *server) recall(f *folder, r *engine.Request, disk history.State) (ts []turned) {
	last := history.Open(workspace.StateFolder(r.State, r.Root))
	defer last.Close()
	seen, functions := map[string]bool{}, map[string]bool{}
	engine.Recall(r, func(k history.Known) bool {
		newer := maps.Clone(functions)
		st := &state{files: k.State, root: r.Root}
		sources := map[string]*source{}
		for _, ids := range []map[string]bool{k.Failed, k.Passed} {
			for _, id := range slices.Sorted(maps.Keys(ids)) {
				rel := pytest.ParseID(id).Path
				if seen[id] || newer[pytest.Bare(id)] || disk[rel] == "" {
					continue // a newer result is known, maybe without this case; the file is gone
				}
				seen[id], functions[pytest.Bare(id)] = true, true
				path, name := split(r.Root, id)
				if sources[path] == nil {
					sources[path] = &source{settled: true, sure: true, digest: k.State[rel], in: st}
				}
				t := &pytest.Result{ID: id, Index: len(seen), Outcome: pytest.Failed, Path: rel, Duration: [3]float32{-1, -1, -1}}
				if k.Passed[id] {
					t.Outcome = pytest.Passed
				}
				if l, ok := last.Last(id); ok {
					t.Duration[1] = float32(l.Seconds)
					if l.Outcome.Bad() == t.Outcome.Bad() {
						t.Outcome = l.Outcome
					}
				}
				if x := s.results.restore(f, path, name, t, sources[path], disk[rel]); x != nil {
					ts = append(ts, *x)
				}
			}
		}
		return true
	})
	s.mu.Lock()
	var open []*document
	for _, d := range s.docs {
		open = append(open, d)
	}
	s.mu.Unlock()
	for _, d := range open {
		ts = append(ts, s.results.content(d.path, nonNil(d.text))...)
	}
	return ts
}
