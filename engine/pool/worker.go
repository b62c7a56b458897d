package pool

import (
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// worker is a process that runs items: a fork of the collected session, or the
// session itself.
type worker struct {
	session *Session
	id      int
	process *process
	kin     *kindred
	ch      *channel
	down    *ring.Producer
	up      *ring.Consumer
	signals chan<- run.Signal
	gone    chan struct{} // closed when the process has ended
	done    bool          // it has said its last word
	read    sync.WaitGroup
	closing sync.Once
}

// alarm is the signal that tells a worker of a test that has taken too long:
// a real-time one, which no library uses, SIGRTMIN+5 of glibc.
const alarm = 39

var bell = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// Run hands over items, as pairs of first and count.
func (w *worker) Run(pairs []uint32) error {
	b := make([]byte, 0, 4*len(pairs))
	for _, n := range pairs {
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	for len(b) > 0 {
		n := min(len(b), w.down.Max()&^7)
		if err := w.put(wire.Run, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Finish says that no more items will come.
func (w *worker) Finish() error { return w.put(wire.Finish, nil) }

// Stop says that nothing further is to be started.
func (w *worker) Stop(reason string) error { return w.put(wire.Stop, []byte(reason)) }

// Tell passes on what another worker said.
func (w *worker) Tell(kind wire.Kind, item int, payload []byte) error {
	return w.putItem(kind, item, payload)
}

// Signal sends a signal to the worker's process.
func (w *worker) Signal(sig os.Signal) error {
	select {
	case <-w.gone:
		return errGone
	default:
	}
	p, err := os.FindProcess(w.process.stage.pid)
	if err != nil {
		return err
	}
	defer p.Release() // a descriptor
	return p.Signal(sig)
}

// Alarm has the worker end its test by an exception, once it has taken too
// long by the worker's own clock too.
func (w *worker) Alarm() error { return w.Signal(syscall.Signal(alarm)) }

// Running is the item of the newest checkpoint, and its time.
func (w *worker) Running() (item int, since time.Time, ok bool) {
	select {
	case <-w.gone:
		return 0, since, false // its memory may be gone too
	default:
	}
	c, ok := ring.ReadCheckpoint(w.ch.mem)
	if !ok || c.Phase == 0 {
		return 0, since, false
	}
	return int(c.Item), time.UnixMilli(int64(c.Time * 1e3)), true
}

func (w *worker) put(kind wire.Kind, payload []byte) error { return w.putItem(kind, 0, payload) }

// putItem writes a frame, in parts when it is large, and waits for room.
func (w *worker) putItem(kind wire.Kind, item int, payload []byte) error {
	for len(payload) > w.down.Max() {
		if err := w.putPart(wire.Header{Kind: kind, Item: uint32(item), Flags: wire.More}, payload[:w.down.Max()]); err != nil {
			return err
		}
		payload = payload[w.down.Max():]
	}
	return w.putPart(wire.Header{Kind: kind, Item: uint32(item)}, payload)
}

func (w *worker) putPart(h wire.Header, payload []byte) error {
	for !w.down.Put(h, payload) {
		select {
		case <-w.gone:
			return errGone
		case <-time.After(time.Millisecond): // the worker reads between two items only
		}
	}
	if w.down.Wake() {
		_, _ = w.ch.toWorker.Write(bell)
	}
	return nil
}

// watch waits for the end of the process: its control socket closes.
func (w *worker) watch() {
	_, _ = io.Copy(io.Discard, w.process.stage.conn)
	close(w.gone)
	_, _ = w.ch.toEngine.Write(bell)
}

// A worker that has just written will write again soon. The engine looks this
// often, naps times, before it says that it sleeps: to be woken for every
// frame cost the worker 9 of its 45 µs a test in writes.
const (
	nap  = 200 * time.Microsecond
	naps = 5
)

// listen turns frames into signals until the process has ended and all that it
// wrote is read.
func (w *worker) listen() {
	defer w.read.Done()
	idle := naps
	for {
		last := false
		select {
		case <-w.gone:
			last = true // what it wrote is there by now
		default:
		}
		if w.drain() {
			idle = 0
		}
		switch {
		case last:
			w.signals <- w.death()
			return
		case idle < naps:
			idle++
			time.Sleep(nap)
		default:
			w.up.Sleep()
			if w.drain() {
				idle = 0
			} else {
				var b [8]byte
				_ = w.ch.toEngine.SetReadDeadline(time.Now().Add(ring.Nap))
				_, _ = w.ch.toEngine.Read(b[:])
			}
			w.up.Awake()
		}
	}
}

// drain passes on all frames that are there, and reports whether any was.
func (w *worker) drain() (any bool) {
	for {
		h, payload, ok := w.up.Get()
		if !ok {
			return any
		}
		any = true
		w.done = w.done || h.Kind == wire.Done
		w.signals <- run.Signal{Worker: w.id, Kind: h.Kind, Item: int(h.Item), Payload: payload}
	}
}

// death is a worker's last signal: how its process ended, and what it did.
func (w *worker) death() run.Signal {
	s := run.Signal{Worker: w.id, Kind: run.Gone}
	w.process.stage.close() // its alive pipe too, where it has one
	s.Killed, s.Status = describe(w.process.wait())
	if !w.done { // else the session looks, when the run is over
		_, s.Left = w.kin.sweep(run.Lingering, func() []int { return nil })
	}
	if c, ok := ring.ReadCheckpoint(w.ch.mem); ok && c.Phase > 0 {
		s.Item, s.Phase = int(c.Item), int(c.Phase)
	} else {
		s.Item = -1
	}
	s.Stdout, s.Stderr = tail(w.ch.out), tail(w.ch.err)
	return s
}

// maxTail is how much of a dead worker's captured output is kept.
const maxTail = 64 << 10

// tail returns the end of a capture file.
func tail(f *os.File) string {
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), maxTail))
	n, _ := f.ReadAt(b, st.Size()-int64(len(b)))
	return strings.ToValidUTF8(string(b[:n]), "\uFFFD")
}

func (w *worker) close() {
	w.closing.Do(func() {
		select {
		case <-w.gone:
		default:
			_ = w.Signal(os.Kill)
		}
		w.read.Wait()
		w.ch.Close()
	})
}
