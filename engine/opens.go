package engine

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/watch"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// maxAside is how many folders are heard that are part of no project's state
// until something in them is opened: hidden ones.
const maxAside = 1000

// heard is what the processes that tests start open, as long as a run lasts; nil
// when nobody listens. What tests themselves open they tell, with who did; but
// not these, whatever program and interpreter they are.
type heard struct{ opens *watch.Opens }

// hear listens where it has to be expected that tests start processes: where
// some did, or nothing is known of any run. state are the project's files.
func hear(r *Request, state history.State) *heard {
	if _, elsewhere := r.variable("PYTHONPYCACHEPREFIX"); elsewhere || state == nil || r.State == "" || r.Debugged != nil {
		return nil
	}
	opened := history.LoadOpened(workspace.StateFolder(r.State, r.Root))
	if opened.Edges != nil && len(opened.Started)+len(opened.Opaque) == 0 {
		return nil
	}
	dirs := map[string]bool{"": true}
	for rel := range state {
		if filepath.IsAbs(rel) {
			continue // outside of the project
		}
		for d := path.Dir(rel); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	var folders, links []string
	aside := 0
	var add func(d string, inside bool)
	add = func(d string, inside bool) {
		folders = append(folders, d)
		es, _ := os.ReadDir(d)
		for _, e := range es {
			p := filepath.Join(d, e.Name())
			switch {
			case e.Type()&os.ModeSymlink != 0:
				links = append(links, p)
			case e.IsDir() && (inside || strings.HasPrefix(e.Name(), ".")) && aside < maxAside && workspace.MayBeRead(e.Name()) && p != r.State:
				aside++
				add(p, true)
			}
		}
	}
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		add(filepath.Join(r.Root, filepath.FromSlash(d)), false)
	}
	opens, err := watch.HearOpens(folders, links)
	if err != nil {
		return nil
	}
	return &heard{opens}
}

// doors is for the session of which the tests are: all is collected.
func (h *heard) doors() string {
	if h == nil {
		return ""
	}
	h.opens.Begin()
	return h.opens.Doors()
}

// tell says what was heard. Where that may not be all, nobody knows what the
// processes have read.
func (h *heard) tell(to *history.Seen) {
	if h != nil {
		to.Read, to.All = h.opens.Take()
	}
	if !to.All {
		to.Opaque, to.Started, to.Read = append(to.Opaque, to.Started...), nil, nil
	}
}

// close ends it, for an engine that lives beside what follows.
func (h *heard) close(e *Engine) {
	if h == nil {
		return
	}
	if wait := h.opens.Close(); e != nil {
		e.writing.Go(wait)
	}
}
