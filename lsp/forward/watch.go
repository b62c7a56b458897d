package forward

import (
	"errors"
	"sync/atomic"
	"time"
)

// Process is a Host in another process, which may stop without ending.
type Process interface {
	Host
	// Stopped reports whether the process is: by a signal, and until another one.
	Stopped() bool
}

// ErrSilent is why a host that is there was left.
var ErrSilent = errors.New("the resident process does not answer; another one serves the editor")

// How long a host is waited for, in seconds. It is asked for a sign of life when
// the editor waits and nothing has come for pingAfter. A process that is busy
// gives one at once, however long its runs take: its messages are read beside
// them. One that is stopped is left after stoppedFor, one that is not, and is
// silent all the same, after silentFor: the longest pause that was seen is
// initialize's on a machine that swaps, some 4 s.
const (
	look       = time.Second
	pingAfter  = 2
	stoppedFor = 4
	silentFor  = 30
)

// ourPing is the id of the request for a sign of life. No server knows its
// method: the refusal is one.
const ourPing = `"dx-py-again-ping"`

// life is what is known of a host.
type life struct {
	heard   atomic.Bool  // something has come since the last look
	saying  atomic.Bool  // what has come is passed on: the editor is waited for
	writing atomic.Int32 // who waits for it to read
}

// watched is a host of which it is known that somebody writes to it.
type watched struct {
	Host
	*life
}

func (w watched) Write(b []byte) (int, error) {
	w.writing.Add(1)
	defer w.writing.Add(-1)
	return w.Host.Write(b)
}

// watch calls leave when a host does not live though the editor waits.
func (f *forwarder) watch(p Process, l *life, over <-chan struct{}, leave func()) {
	t := time.NewTicker(look)
	defer t.Stop()
	for silent := 0; ; {
		select {
		case <-over:
			return
		case <-t.C:
		}
		f.mu.Lock()
		waits := f.said.waits()
		f.mu.Unlock()
		if l.heard.Swap(false) || l.saying.Load() || !waits && l.writing.Load() == 0 {
			silent = 0
			continue
		}
		switch silent++; {
		case silent >= silentFor || silent >= stoppedFor && p.Stopped():
			leave()
			return
		case silent == pingAfter && l.writing.Load() == 0: // who does not read would have to read this too
			go p.Write(request(ourPing, "dx-py/ping", object{}).frame)
		}
	}
}
