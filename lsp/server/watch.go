package server

import (
	"context"
	"slices"
	"sync"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/watch"
)

// watched is how a folder's files are watched. That starts no process: it
// needs no trust.
type watched struct {
	once  sync.Once
	begun chan struct{} // closed when edits are seen, or cannot be

	mu      sync.Mutex // around a Pass and what follows from it
	barrier *engine.Barrier
}

// watch sees to it that all folders of the workspace are watched: Neovim on
// Linux does not watch for servers.
func (s *server) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.folders {
		if f.implicit || f.closed {
			continue
		}
		f.watched.once.Do(func() {
			if !s.aside(func(ctx context.Context) { s.watchFolder(ctx, f) }) {
				close(f.watched.begun)
			}
		})
	}
}

// watchFolder takes edits in until the folder or the server closes.
func (s *server) watchFolder(ctx context.Context, f *folder) {
	w := &f.watched
	snap := f.ws.Disk()
	cfg, env, err := snap.Configure()
	if env == nil {
		env, cfg = &pyenv.Env{}, nil
	}
	b, err := engine.NewBarrier(engine.Watched(cfg, env, f.path, snap.StateDir()))
	if err != nil {
		s.log.Warn("watching files", "folder", f.path, "error", err)
		close(w.begun)
		return
	}
	defer b.Close()
	w.mu.Lock()
	w.barrier = b
	w.mu.Unlock()
	s.edited(f, watch.Batch{Bulk: true}) // what came before it began
	close(w.begun)
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.gone:
			return
		case <-b.Changed():
			s.pass(ctx, f)
		}
	}
}

// pass takes in all edits of a folder that are on disk now.
func (s *server) pass(ctx context.Context, f *folder) {
	w := &f.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, err := w.barrier.Pass(ctx)
	if err == nil && !batch.Empty() {
		s.edited(f, batch)
		s.runs.edited(f, batch)
	}
}

// passAll has all edits taken in that are on disk now, where files are watched.
func (s *server) passAll(ctx context.Context) {
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	for _, f := range folders {
		if f.implicit {
			continue
		}
		select {
		case <-f.watched.begun:
		case <-f.gone:
			continue
		case <-ctx.Done():
			return
		case <-s.base.Done():
			return
		}
		if f.watched.barrier != nil {
			s.pass(ctx, f)
		}
	}
}

// edited takes in what has changed on disk.
func (s *server) edited(f *folder, batch watch.Batch) {
	s.diskChangedIn(f)
	s.nestAgain(f, batch)
	if batch.Bulk {
		s.contents(s.results.paths())
	} else {
		paths := make([]string, len(batch.Changes))
		for i, c := range batch.Changes {
			paths[i] = c.Path
		}
		s.contents(paths)
	}
	s.listAgain()
	s.following.due()
}
