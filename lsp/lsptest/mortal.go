package lsptest

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/dx-py/dx-py-ls/lsp/forward"
	"github.com/dx-py/dx-py-ls/lsp/server"
)

// Mortal serves an editor through a forwarder, by servers that can be killed.
// Its Serve is a Client's.
type Mortal struct {
	mu     sync.Mutex
	host   *host
	opened int // hosts
}

// ErrKilled is why a killed server's session ended.
var ErrKilled = errors.New("it was killed")

// Serve is what a Client is served by.
func (m *Mortal) Serve(ctx context.Context, in io.Reader, out io.Writer, o server.Options) error {
	return forward.Run(ctx, in, out, forward.Options{Log: o.Log, Open: func(ctx context.Context, _ []string, lost int, why error) (forward.Host, error) {
		if lost > 0 && !errors.Is(why, ErrKilled) {
			return nil, why // it ended by itself
		}
		o := o
		o.Before, o.Forwarded = lost, true
		toServer, w := io.Pipe()
		r, fromServer := io.Pipe()
		h := &host{PipeReader: r, in: w, ended: make(chan struct{})}
		go func() {
			defer close(h.ended)
			h.err = server.Serve(ctx, toServer, fromServer, o)
			toServer.Close()
			fromServer.Close()
		}()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.host = h
		m.opened++
		return h, nil
	}})
}

// Kill ends the server that serves, at once and without a word. It returns the
// number of servers that there have been.
func (m *Mortal) Kill() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.host
	h.mu.Lock()
	h.killed = true
	h.mu.Unlock()
	h.in.CloseWithError(ErrKilled)
	h.PipeReader.CloseWithError(ErrKilled)
	return m.opened
}

type host struct {
	*io.PipeReader
	in    *io.PipeWriter
	ended chan struct{}
	err   error

	mu     sync.Mutex
	killed bool
}

func (h *host) Write(b []byte) (int, error) { return h.in.Write(b) }

func (h *host) Close() error {
	h.in.Close()
	h.PipeReader.Close()
	<-h.ended
	return nil
}

// Lost does not wait: a process that is killed does not either.
func (h *host) Lost() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killed {
		return ErrKilled
	}
	<-h.ended
	return h.err
}
