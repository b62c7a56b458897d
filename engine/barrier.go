package engine

import (
	"context"

	"github.com/dx-py/dx-py-ls/engine/watch"
)

// Barrier has a request see every edit that was on disk when the request came.
// An engine that stays has one for each project:
//
//	edits, err := barrier.Pass(ctx)
//	if err == nil && !edits.Empty() {
//		snapshot = ws.Apply(workspace.Update{Disk: true})
//	}
//
// The paths are for what is kept by path (a graph, results). They are not for
// Update.Files: a Change without a text there closes the buffer that an editor
// has open of the file.
type Barrier struct {
	watcher *watch.Watcher
	inbox   *watch.Inbox
}

// NewBarrier begins to watch. o.Changed is the Barrier's own.
func NewBarrier(o watch.Options) (*Barrier, error) {
	b := &Barrier{inbox: watch.NewInbox()}
	o.Changed = b.inbox.Put
	var err error
	b.watcher, err = watch.New(o)
	return b, err
}

// Pass returns what has changed between the last Pass and this one: nothing
// that was on disk when it was called is missing. Two at once divide the edits
// between them, so have one lock around a Pass and what follows from it. With
// an error (the context's, or watch.ErrClosed) nothing is taken.
func (b *Barrier) Pass(ctx context.Context) (watch.Batch, error) {
	if err := b.watcher.Sync(ctx); err != nil {
		return watch.Batch{}, err
	}
	return b.inbox.Take(), nil
}

// Changed is sent to when a Pass would return something, for who does not wait
// for requests.
func (b *Barrier) Changed() <-chan struct{} { return b.inbox.Wake() }

// Status says how well edits are seen.
func (b *Barrier) Status() watch.Status { return b.watcher.Status() }

// Close ends watching.
func (b *Barrier) Close() { b.watcher.Close() }
