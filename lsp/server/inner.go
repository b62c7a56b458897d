package server

import (
	"context"
	"slices"
	"strings"

	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/watch"
)

// inner is what makes a folder in a workspace folder a project of its own.
type inner struct {
	of *folder // the workspace folder
	config.Inner
}

// findInner looks for the projects in a workspace folder. It takes no lock of
// the server's.
func (f *folder) findInner(off bool) []config.Inner {
	if off {
		return nil
	}
	var taken []string
	if cfg, _, err := f.ws.Disk().Configure(); err == nil && cfg != nil {
		for _, a := range cfg.Args {
			path, _, _ := strings.Cut(a, "::")
			if path = file.Abs(cfg.Dir, path); path != f.path {
				taken = append(taken, path)
			}
		}
	}
	return config.FindInner(f.path, taken)
}

// nest has the projects in a workspace folder be folders of their own, and
// reports whether that changes anything. The caller holds s.mu.
func (s *server) nest(f *folder, found []config.Inner) (changed bool) {
	if f.closed || f.implicit || f.inner != nil || !slices.Contains(s.folders, f) {
		return false
	}
	for _, old := range slices.Clone(s.folders) {
		if old.inner != nil && old.inner.of == f && !slices.Contains(found, old.inner.Inner) {
			s.remove(old)
			changed = true
		}
	}
	for _, p := range found {
		if slices.ContainsFunc(s.folders, func(x *folder) bool { return x.path == p.Path && !x.implicit }) {
			continue
		}
		s.addFolder(p.Path, uri.File(p.Path)).inner = &inner{f, p}
		changed = true
	}
	if !changed {
		return false
	}
	for _, x := range s.folders {
		if x == f || x.inner != nil && x.inner.of == f {
			x.configure(s, f.settings)
		}
	}
	for _, d := range s.docs {
		s.folderOf(d.path).ws.Apply(d.update())
	}
	return true
}

// nestAgain looks for projects anew, where a file has come or gone that may
// make one.
func (s *server) nestAgain(f *folder, batch watch.Batch) {
	if !batch.Bulk && !slices.ContainsFunc(batch.Changes, func(c file.Change) bool {
		return config.MayMakeInner(c.Path[strings.LastIndexByte(c.Path, '/')+1:])
	}) {
		return
	}
	s.mu.Lock()
	outer, off := f.inner == nil && !f.implicit && !f.closed, f.settings.off()
	s.mu.Unlock()
	if !outer {
		return
	}
	found := f.findInner(off)
	s.mu.Lock()
	changed := s.nest(f, found)
	s.mu.Unlock()
	if changed {
		s.watch()
		s.askSettings()
		s.listAgain()
		s.following.due()
	}
}

// nestAll is nestAgain for all workspace folders.
func (s *server) nestAll() {
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	for _, f := range folders {
		s.nestAgain(f, watch.Batch{Bulk: true})
	}
}

// remove closes a folder: what runs in it is cancelled. The caller holds s.mu.
func (s *server) remove(f *folder) {
	s.folders = slices.DeleteFunc(s.folders, func(x *folder) bool { return x == f })
	f.closed = true
	close(f.gone)
	s.aside(func(ctx context.Context) {
		s.runs.cancelFolder(f)
		s.runs.wait(ctx)
		f.close()
	})
	for _, x := range slices.Clone(s.folders) {
		if x.inner != nil && x.inner.of == f {
			s.remove(x)
		}
	}
}

// left are the projects in a folder, which are no part of it. The caller holds
// s.mu.
func (s *server) left(f *folder) (args []string) {
	for _, x := range s.folders {
		if _, in := file.Rel(f.path, x.path); in && x != f && x.inner != nil {
			args = append(args, "--ignore="+x.path)
		}
	}
	return args
}
