package cli

import (
	"context"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/watch"
)

// inbox holds what the watcher tells until the loop takes it.
type inbox struct {
	mu    sync.Mutex
	paths map[string]bool // whether it was absent before
	bulk  bool
	wake  chan struct{}
}

func (b *inbox) put(batch watch.Batch) {
	b.mu.Lock()
	for _, c := range batch.Changes {
		if _, had := b.paths[c.Path]; !had {
			b.paths[c.Path] = batch.Came[c.Path]
		}
	}
	b.bulk = b.bulk || batch.Bulk
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() (paths map[string]bool, bulk bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	paths, bulk = b.paths, b.bulk
	b.paths, b.bulk = map[string]bool{}, false
	return paths, bulk
}

// sync has all edits in the inbox that are on disk.
func (w *watching) sync() {
	// Longer than a look at all files takes; an edit that is late is not lost.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.watcher.Sync(ctx)
	w.absorb()
}

// absorb takes what has changed out of the inbox. An edit of code makes the run
// that goes on pointless. Other files may be what the tests write: they are
// looked at when it has ended.
func (w *watching) absorb() {
	paths, bulk := w.inbox.take()
	outdated := false
	if bulk && (w.now == nil || !w.writes.known(anything, false)) {
		w.owedAll, w.held = true, false
		outdated = w.now != nil && w.writes.during(anything)
	}
	for p, came := range paths {
		if !w.differs(p) || w.now != nil && w.writes.known(p, came) {
			continue
		}
		w.owed[p] = true
		w.held = false
		if w.now != nil {
			outdated = w.writes.during(p) || outdated
		}
	}
	if w.now != nil && outdated && !w.now.stopped {
		w.now.superseded = true
		w.now.cancel(run.Interrupted)
	}
}

// maxDigest is the size up to which a file is compared with what it was. A
// larger one has changed when it was written.
const maxDigest = 64 << 20

// differs reports whether a file is not what it was when it last changed. A
// folder is what is in it.
func (w *watching) differs(path string) bool {
	var d file.Digest // of nothing, and of folders
	dir := file.IsDir(path)
	if id, ok := file.Stat(path); ok && id.Size > maxDigest {
		return true
	}
	if content, _, err := file.Read(path, nil); err == nil {
		d = file.DigestOf(content)
	}
	before, known := w.digest[path]
	w.digest[path] = d
	return !dir && (!known || before != d)
}
