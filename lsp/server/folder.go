package server

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// folder is one workspace folder: configuration, interpreter and processes are
// its own.
type folder struct {
	path     string
	uri      uri.URI // as the client wrote it
	ws       *workspace.Workspace
	own      engine.Engine                    // unless there is another
	shared   func(root string) *engine.Engine // nil: there is none
	settings settings
	closed   bool
	gone     chan struct{} // closed when the folder is
	watched  watched
	ran      atomic.Bool            // something ran that the engine may have learnt from
	moved    atomic.Bool            // files on disk may be others
	due      atomic.Pointer[dueNow] // nil: nothing is known of earlier runs
	implicit bool                   // made for a file outside of all folders
	inner    *inner                 // of a project in a workspace folder, which nobody has opened by itself
}

// addFolder opens a folder; one that is open stays. The caller holds s.mu.
func (s *server) addFolder(path string, u uri.URI) *folder {
	for _, f := range s.folders {
		if f.path == path {
			f.implicit, f.inner = false, nil
			return f
		}
	}
	f := &folder{path: path, uri: uri.URI(strings.Clone(string(u))), gone: make(chan struct{}), watched: watched{begun: make(chan struct{})}}
	f.own.Attentive, f.shared = true, s.opts.Engine
	f.ws = workspace.New(f.base(s))
	s.folders = append(s.folders, f)
	return f
}

// close ends the processes of a folder that counts as closed.
func (f *folder) close() {
	f.ws.Close()
	f.own.Close()
}

// engine is what runs the tests of the folder.
func (f *folder) engine() *engine.Engine { return f.engineOf(f.rootOf()) }

// engineOf is what runs tests below a rootdir of pytest's in the folder.
func (f *folder) engineOf(root string) *engine.Engine {
	if f.shared != nil {
		return f.shared(root)
	}
	return &f.own
}

// DidChangeWorkspaceFolders opens and closes folders. Buffers go to the folder
// that is theirs now.
func (s *server) DidChangeWorkspaceFolders(_ context.Context, p *protocol.DidChangeWorkspaceFoldersParams) error {
	s.mu.Lock()
	for _, r := range p.Event.Removed {
		path, ok := pathOf(r.URI)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(s.folders, func(f *folder) bool { return f.path == path }); i >= 0 {
			s.remove(s.folders[i])
		}
	}
	for _, a := range p.Event.Added {
		if path, ok := pathOf(a.URI); ok {
			s.addFolder(path, a.URI)
		}
	}
	for _, d := range s.docs {
		s.folderOf(d.path).ws.Apply(d.update())
	}
	s.mu.Unlock()
	s.nestAll()
	s.watch()
	s.askSettings()
	s.listAgain()
	s.following.due()
	return nil
}

// folderOf returns the folder that holds a file, the innermost; a file outside
// of all folders gets one for its own folder. The caller holds s.mu.
func (s *server) folderOf(path string) *folder {
	var best *folder
	for _, f := range s.folders {
		if _, in := file.Rel(f.path, path); in && (best == nil || len(f.path) > len(best.path)) {
			best = f
		}
	}
	if best == nil {
		best = s.addFolder(dirOf(path), uri.File(dirOf(path)))
		best.implicit = true
	}
	return best
}

// view returns what a file holds in the newest Snapshot, and its document; nil
// when it is not open.
func (s *server) view(path string) (*workspace.View, *document, error) {
	s.mu.Lock()
	snap := s.folderOf(path).ws.Apply(workspace.Update{})
	doc := s.docs[path]
	s.mu.Unlock()
	v, err := snap.View(path)
	return v, doc, err
}

// key names a part of the tree by where it is: a file or folder, and what
// stands behind it in the id, "::Class::test[case]".
type key struct{ path, name string }

// refOf names a key as clients do.
func (f *folder) refOf(root string, k key) testproto.Ref {
	rel, err := filepath.Rel(root, k.path)
	if err != nil {
		rel = k.path
	}
	return testproto.Ref{Root: string(f.uri), ID: filepath.ToSlash(rel) + k.name}
}

// rootOf is pytest's rootdir in the folder, the folder itself while there is
// no configuration to use.
func (f *folder) rootOf() string {
	if cfg, _, err := f.ws.Apply(workspace.Update{}).Configure(); err == nil {
		return cfg.Root
	}
	return f.path
}

// find returns the folder and key of a ref; false for a root that is not open.
func (s *server) find(r testproto.Ref) (*folder, key, bool) {
	path, ok := pathOf(uri.URI(r.Root))
	if !ok {
		return nil, key{}, false
	}
	s.mu.Lock()
	at := slices.IndexFunc(s.folders, func(f *folder) bool { return f.path == path })
	var f *folder
	if at >= 0 {
		f = s.folders[at]
	}
	s.mu.Unlock()
	if f == nil {
		return nil, key{}, false
	}
	rel, name, _ := strings.Cut(r.ID, "::")
	if name != "" {
		name = "::" + name
	}
	return f, key{file.Abs(f.rootOf(), filepath.FromSlash(rel)), name}, true
}

// uriOf is the URI of a file, as the client wrote it when it is open.
func (s *server) uriOf(path string) uri.URI {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.docs[path]; d != nil {
		return d.uri
	}
	return uri.File(path)
}
