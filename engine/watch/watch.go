// Package watch tells what changes in the folders of a project, from the
// system's file events where there are some that can be trusted, else by
// looking. What it says is always "look here again": a Change names a path,
// what is there now is on disk.
package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// Options say what to watch.
type Options struct {
	// Roots are the folders, absolute and clean. Each must exist; one that is
	// deleted later is watched again when it comes back.
	Roots []string
	// StateDir is where the Watcher makes a folder of its own for the files of
	// Sync; "" is the system's folder for temporary files.
	StateDir string
	// Ignore says of a path inside a root that nobody wants to know of it; of a
	// folder, with all that is in it. It is called with folders on the way
	// first, must always say the same of a path, and may be nil.
	Ignore func(path string, dir bool) bool
	// Changed takes what has changed. Calls come one at a time from a goroutine
	// of the Watcher's, which does nothing else meanwhile: be short, and do not
	// call Sync or Close in it. A channel would let Sync return before its
	// receiver has done anything.
	Changed func(Batch)
	// Poll is the time between two looks where events do not reach, 0 for a
	// second.
	Poll time.Duration
}

// Batch is what has changed since the last one.
type Batch struct {
	// Changes name files, and folders that came or went, by path; each path
	// once. A folder that comes or goes is followed by all that is in it.
	// More may be named than has changed.
	Changes []file.Change
	// Came are the paths among them that were not there before.
	Came map[string]bool
	// Bulk says that anything may have changed; there are no Changes then.
	Bulk bool
}

// Status is how well a Watcher sees.
type Status struct {
	Polling bool   // it looks for changes; there are no events
	Reason  string // why it polls, or looks beside listening; "" for neither
	Folders int    // that are watched
	Sweeps  int    // times that all files were looked at, the first not counted
}

const (
	// stormSize is how many paths in one batch are no list any more: above it
	// looking at everything costs less than following each.
	stormSize = 1000
	// quiet is how long nothing must happen before a batch is told, so that
	// what an editor does to save one file is one batch; a burst is cut at
	// longest.
	quiet   = 10 * time.Millisecond
	longest = 500 * time.Millisecond
	// answer is how long Sync waits for its event. It takes 81 µs on average,
	// and 4 ms at most in 3,000 tries on a busy machine.
	answer = 50 * time.Millisecond
	// patience is the least time between two looks at everything, as a
	// multiple of the time that one takes: 5 % of a processor.
	patience = 20
)

// Watcher is safe for concurrent use. Close it.
type Watcher struct {
	options Options
	queue   *queue
	cookies cookies
	tree    *tree // the loop's
	events  events
	asks    chan ask
	quit    chan struct{}
	ended   sync.WaitGroup
	once    sync.Once

	mu     sync.Mutex
	status Status
}

// ask is a request to the loop to tell what has changed by now.
type ask struct {
	sweep bool
	done  chan struct{}
}

// events is the system's source of file events, which go to a queue.
type events interface {
	add(dir string) error // watch one folder, not what is below
	remove(dir string)
	close() // returns when nothing is left of it
}

// ErrClosed is what Sync returns of a Watcher that was closed.
var ErrClosed = errors.New("the watcher of files is closed")

// New returns a Watcher that has seen all there is: what changes from here on
// is told. The error says which root is no folder.
func New(o Options) (*Watcher, error) { return open(o, listen) }

// open is New with a source of events.
func open(o Options, listen func(*queue) (events, error)) (*Watcher, error) {
	for _, r := range o.Roots {
		if !file.IsDir(r) {
			return nil, fmt.Errorf("watching %s: no such folder", r)
		}
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Ignore == nil {
		o.Ignore = func(string, bool) bool { return false }
	}
	w := &Watcher{options: o, asks: make(chan ask), quit: make(chan struct{})}
	w.queue = newQueue(&w.cookies)
	w.cookies.open(o.StateDir)
	w.tree = newTree(outermost(o.Roots), w.ignored, w)
	if source, err := listen(w.queue); err != nil {
		w.poll(err)
	} else {
		w.events = source
		w.watchCookies()
	}
	for _, r := range w.tree.roots {
		if name := unreliable(r); name != "" && w.events != nil {
			w.status.Reason = fmt.Sprintf("%s is on %s, whose events do not tell all: it is looked at too", r, name)
		}
	}
	w.tree.sweep(false)
	w.tree.take()
	w.status.Folders = len(w.tree.folders)
	w.ended.Add(1)
	go w.loop()
	return w, nil
}

// outermost drops roots that are in others.
func outermost(roots []string) (out []string) {
	for i, r := range roots {
		inner := false
		for k, o := range roots {
			if _, in := file.Rel(o, r); in && (o != r || k < i) {
				inner = true
			}
		}
		if !inner {
			out = append(out, r)
		}
	}
	return out
}

func (w *Watcher) ignored(path string, dir bool) bool {
	return dir && path == w.cookies.dir || w.options.Ignore(path, dir)
}

// Status says how well the Watcher sees.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Close ends the Watcher. Changed is not called any more when it returns.
func (w *Watcher) Close() {
	w.once.Do(func() { close(w.quit) })
	w.ended.Wait()
}

// Sync returns when Changed has returned for every edit that was on disk when
// Sync was called. The error is the context's, or ErrClosed.
//
// It makes a file where it listens itself and waits for the event, which comes
// behind those of all earlier edits. Where events cannot be trusted it looks at
// all files.
func (w *Watcher) Sync(ctx context.Context) error {
	a := ask{sweep: !w.trusted() || !w.answered(ctx), done: make(chan struct{})}
	select {
	case w.asks <- a:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return ErrClosed
	}
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return ErrClosed
	}
}

func (w *Watcher) trusted() bool { return w.Status().Reason == "" }

// answered reports whether an event has come that was made now.
func (w *Watcher) answered(ctx context.Context) bool {
	path, came := w.cookies.expect()
	defer w.cookies.forget(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	f.Close()
	defer os.Remove(path)
	late := time.NewTimer(answer)
	defer late.Stop()
	select {
	case <-came:
		return true
	case <-late.C:
	case <-ctx.Done():
	case <-w.quit:
	}
	return false
}

// loop owns the tree.
func (w *Watcher) loop() {
	defer w.ended.Done()
	defer w.cookies.close()
	defer func() {
		if w.events != nil {
			w.events.close()
		}
	}()
	look := time.NewTimer(w.options.Poll)
	defer look.Stop()
	var tell, cut <-chan time.Time
	for {
		select {
		case <-w.quit:
			return
		case <-w.queue.wake:
			tell = time.After(quiet)
			if cut == nil {
				cut = time.After(longest)
			}
			continue
		case <-tell:
			w.tell(false)
		case <-cut:
			w.tell(false)
		case a := <-w.asks:
			w.tell(a.sweep)
			if a.sweep {
				w.watchCookies() // they may have been deleted
			}
			close(a.done)
		case <-look.C:
			began := time.Now()
			if sweep := !w.trusted(); sweep || w.tree.blind() {
				w.tell(sweep)
			}
			look.Reset(max(w.options.Poll, patience*time.Since(began)))
			continue // events may still be on their way
		}
		tell, cut = nil, nil
	}
}

// tell looks where events say that something happened, or everywhere, and
// tells what has changed.
func (w *Watcher) tell(sweep bool) {
	dirty, lost := w.queue.take()
	if lost || sweep {
		w.tree.sweep(lost)
	} else {
		w.tree.look(dirty)
	}
	changes, came := w.tree.take()
	w.mu.Lock()
	w.status.Folders = len(w.tree.folders)
	if lost || sweep {
		w.status.Sweeps++
	}
	w.mu.Unlock()
	switch {
	case lost || len(changes) > stormSize:
		w.options.Changed(Batch{Bulk: true})
	case len(changes) > 0:
		w.options.Changed(Batch{Changes: changes, Came: came})
	}
}

// watch has events of a folder come; false when there are none to be had.
func (w *Watcher) watch(dir string) bool {
	if w.events == nil {
		return false
	}
	err := w.events.add(dir)
	var full fullError
	if errors.As(err, &full) {
		w.poll(full)
	}
	return err == nil
}

func (w *Watcher) unwatch(dir string) {
	if w.events != nil {
		w.events.remove(dir)
	}
}

// poll goes on without events.
func (w *Watcher) poll(why error) {
	if w.events != nil {
		w.events.close()
		w.events = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Polling, w.status.Reason = true, why.Error()
}

// watchCookies listens to the folder of Sync's files, and makes it.
func (w *Watcher) watchCookies() {
	if w.events == nil {
		return
	}
	w.events.remove(w.cookies.dir)
	if err := os.MkdirAll(w.cookies.dir, 0o700); err == nil {
		w.watch(w.cookies.dir)
	}
}

// fullError says that a limit of the system's stands in the way of events.
type fullError string

func (e fullError) Error() string { return string(e) }
