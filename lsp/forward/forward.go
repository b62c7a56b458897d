// Package forward stands between an editor and the process that serves it. It
// passes messages on, and remembers what the editor has said: when that process
// is lost, the next one is told, and the editor keeps its session.
package forward

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dx-py/dx-py-ls/lsp/server"
)

// Host is who serves: a language server at the other end of a stream.
type Host interface {
	io.ReadWriteCloser
	// Lost is why the stream has ended, nil for no reason.
	Lost() error
}

// Options are who serves, and who is told of trouble.
type Options struct {
	// Open finds a host. It is told the workspace's folders, and how many hosts
	// the session has lost, the last one for which reason. Its error ends the
	// session.
	Open func(ctx context.Context, folders []string, lost int, why error) (Host, error)
	Log  *slog.Logger // nil: nobody
}

// farewell is how long a host may take to end its processes behind exit: none
// was seen to take a second, and a process that is stopped would take for ever.
const farewell = 5 * time.Second

// Run forwards until the editor says exit, goes away, or ctx ends. Its error is
// why the connection broke; none after exit.
func Run(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &forwarder{Options: o, out: out, gone: cancel, served: make(chan struct{})}
	f.said = newSession()
	source := server.Interruptible(in)
	done := make(chan error, 1)
	go func() { done <- f.fromEditor(ctx, source) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		if c, ok := source.(io.Closer); ok {
			c.Close()
		}
	}
	f.leave()
	return errors.Join(err, f.failed)
}

type forwarder struct {
	Options
	gone   context.CancelFunc // the editor's process is, or nobody serves
	served chan struct{}      // closed when no host is there, and none will be
	once   sync.Once
	failed error // why none will; of who saw served closed

	outMu sync.Mutex
	out   io.Writer

	mu     sync.Mutex
	host   Host       // nil while there is none
	queue  []*message // for the next one
	lost   int        // hosts
	ending bool       // the editor has said exit, or is gone
	said   *session
}

// fromEditor passes on what the editor says, until it says exit or no more.
func (f *forwarder) fromEditor(ctx context.Context, in io.Reader) error {
	r := bufio.NewReaderSize(in, maxHeader)
	for {
		m, err := read(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading from the editor: %w", err)
		}
		f.mu.Lock()
		m = f.said.fromEditor(m, f.lost)
		host := f.host
		exit := f.said.exited
		f.ending = f.ending || exit
		if host == nil && m != nil {
			f.queue = append(f.queue, m)
		}
		f.mu.Unlock()
		f.once.Do(func() { f.begin(ctx) })
		if host != nil && m != nil {
			_, _ = host.Write(m.frame) // the next host will be told
		}
		if exit {
			return nil
		}
	}
}

// begin looks for hosts, from the first message on.
func (f *forwarder) begin(ctx context.Context) {
	if pid := f.said.parent; pid > 0 {
		go server.WatchProcess(pid, ctx.Done(), f.gone)
	}
	go func() {
		defer close(f.served)
		defer f.gone()
		f.failed = f.serve(ctx)
	}()
}

// serve has one host after another until the editor needs none.
func (f *forwarder) serve(ctx context.Context) error {
	var why error
	for {
		f.mu.Lock()
		folders := f.said.paths()
		f.mu.Unlock()
		h, err := f.Open(ctx, folders, f.lost, why)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { h.Close() })
		ended := make(chan struct{})
		l := &life{}
		h = watched{h, l}
		go func() {
			defer close(ended)
			f.fromHost(h, l)
		}()
		over := make(chan struct{})
		var silent atomic.Bool
		var watching sync.WaitGroup
		if p, ok := h.(watched).Host.(Process); ok {
			watching.Go(func() {
				f.watch(p, l, over, func() {
					silent.Store(true)
					p.Close()
				})
			})
		}
		f.resume(h)
		<-ended
		close(over)
		watching.Wait()
		f.mu.Lock()
		f.host = nil
		ending := f.ending || ctx.Err() != nil
		f.mu.Unlock()
		switch {
		case ending:
		case silent.Load():
			why = ErrSilent
		default:
			why = h.Lost()
		}
		stop()
		h.Close()
		if ending {
			return nil
		}
		f.Log.Warn("who served the editor is gone", "error", why)
		f.mu.Lock()
		f.lost++
		said := f.said.end(why)
		f.mu.Unlock()
		for _, m := range said {
			f.say(m)
		}
	}
}

// resume tells a host what the editor has said, and what it says meanwhile.
func (f *forwarder) resume(h Host) {
	f.mu.Lock()
	now := f.queue
	if f.lost > 0 {
		now = f.said.again() // the queue is in it
	}
	for {
		f.queue = nil
		if len(now) == 0 {
			f.host = h
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		for _, m := range now {
			if _, err := h.Write(m.frame); err != nil {
				break // it is lost, and the next one is told all
			}
		}
		f.mu.Lock()
		now = f.queue
	}
}

// fromHost passes on what a host says, until it says no more.
func (f *forwarder) fromHost(h Host, l *life) {
	r := bufio.NewReaderSize(h, 64<<10)
	for {
		m, err := read(r)
		if err != nil {
			return
		}
		l.heard.Store(true)
		f.mu.Lock()
		m = f.said.fromHost(m, f.lost)
		f.mu.Unlock()
		if m != nil {
			l.saying.Store(true)
			f.say(m)
			l.saying.Store(false)
		}
	}
}

func (f *forwarder) say(m *message) {
	f.outMu.Lock()
	defer f.outMu.Unlock()
	if _, err := f.out.Write(m.frame); err != nil {
		f.gone()
	}
}

// leave ends the host, behind exit by itself.
func (f *forwarder) leave() {
	begun := true
	f.once.Do(func() { begun = false })
	if !begun {
		return
	}
	f.mu.Lock()
	f.ending = true
	exited := f.said.exited
	f.mu.Unlock()
	if exited {
		t := time.NewTimer(farewell)
		defer t.Stop()
		select {
		case <-f.served:
			return
		case <-t.C:
		}
	}
	f.gone()
	<-f.served
}

// told is a message for the user.
func told(kind int, text string) *message {
	method := "window/logMessage"
	if kind < info {
		method = "window/showMessage"
	}
	return notification(method, object{"type": kind, "message": text})
}

// Kinds of messages, as LSP numbers them.
const (
	warning = 2
	info    = 3
)

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
