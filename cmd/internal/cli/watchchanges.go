package cli

import (
	"context"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/run"
)

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
	batch := w.inbox.Take()
	outdated := false
	if batch.Bulk && (w.now == nil || !w.writes.known(anything, false)) {
		w.owedAll, w.held = true, false
		outdated = w.now != nil && w.writes.during(anything)
	}
	for _, c := range batch.Changes {
		p := c.Path
		if !w.differs(p) || w.now != nil && w.writes.known(p, batch.Came[p]) {
			continue
		}
		if w.now == nil && w.observing != nil && w.maybeTheirs(p) {
			w.late[p] = batch.Came[p]
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

// maybeTheirs reports whether tests that are observed may have written a file:
// sources are taken for edits, but for those that tests were seen to write.
func (w *watching) maybeTheirs(path string) bool {
	return !isSource(path) || w.written()[path]
}

// judgeLate tells edits from what the tests wrote that were observed.
func (w *watching) judgeLate() {
	if len(w.late) == 0 {
		return
	}
	written := w.written()
	for p, came := range w.late {
		if came {
			w.writes.came[p] = true
		}
		if !written[p] && !w.writes.isOwn(p) && !w.writes.temporary(p) {
			w.owed[p] = true
		}
	}
	clear(w.late)
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
