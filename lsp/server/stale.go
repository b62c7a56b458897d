package server

import (
	"slices"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// byState are the results of a folder, by the state in which they ran.
func (r *results) byState(f *folder, root string) map[*state][]key {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[*state][]key{}
	for path, x := range r.files {
		for name, k := range x.tests {
			if k.folder == f && k.ran != nil && k.ran.in != nil && k.ran.in.root == root {
				out[k.ran.in] = append(out[k.ran.in], key{path, name})
			}
		}
	}
	return out
}

// judge gives results their reasons to be stale, and returns those of which
// the client does not know.
func (r *results) judge(f *folder, keys []key, why func(k key, id string) *plan.Reason) (ts []turned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	for _, k := range keys {
		x := r.files[k.path]
		if x == nil || x.tests[k.name] == nil || x.tests[k.name].folder != f {
			continue // it ran again meanwhile
		}
		t := x.tests[k.name]
		was := x.outdated(k.name)
		if reason := why(k, t.ID); reason != nil {
			x.reached[k.name] = reason
		} else {
			delete(x.reached, k.name)
		}
		if was != x.outdated(k.name) {
			ts = append(ts, turned{t, k.path, k.name})
		}
	}
	slices.SortFunc(ts, func(a, b turned) int { return a.Index - b.Index })
	return ts
}

// restore takes over a result of an earlier run, unless a newer one is known
// or on its way. on is the digest of its file on disk.
func (r *results) restore(f *folder, path, name string, t *pytest.Result, ran *source, on string) *turned {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	x := r.file(path)
	if x.tests[name] != nil || slices.ContainsFunc(r.running, func(k key) bool { return k.covers(path, name) }) {
		return nil
	}
	if x.now == "" {
		x.now, x.id = on, file.Identity{}
	}
	k := &known{Result: t, folder: f, ran: ran, restored: true}
	x.tests[name] = k
	return &turned{k, path, name}
}
