package ring_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/edsrzf/mmap-go"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

// mapping returns 8-byte aligned memory of a ring's size.
func mapping(t testing.TB) []byte {
	m, err := mmap.MapRegion(nil, ring.Size, mmap.RDWR, mmap.ANON, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Unmap() })
	return m
}

// TestFramesArrive writes and reads frames of random sizes in random turns:
// what comes out is what went in, once and in order.
func TestFramesArrive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := mapping(t)
		up := ring.Up(mem)
		_, out := ring.Peer(mem)
		type frame struct {
			item    uint32
			payload []byte
		}
		var sent, waiting []frame
		steps := rapid.SliceOfN(rapid.IntRange(-3, 5), 50, 400).Draw(rt, "steps")
		item := uint32(0)
		for _, n := range steps {
			for ; n > 0; n-- {
				item++
				size := rapid.IntRange(0, out.Max()).Draw(rt, "size")
				p := bytes.Repeat([]byte{byte(item)}, size)
				if out.Put(wire.Header{Kind: wire.Report, Item: item}, p) {
					sent = append(sent, frame{item, p})
					waiting = append(waiting, frame{item, p})
				}
			}
			for ; n < 0; n++ {
				h, p, ok := up.Get()
				if ok != (len(waiting) > 0) {
					rt.Fatalf("a frame came: %v, with %d waiting", ok, len(waiting))
				}
				if !ok {
					break
				}
				if h.Item != waiting[0].item || !bytes.Equal(p, waiting[0].payload) {
					rt.Fatalf("item %d with %d bytes, want %d with %d", h.Item, len(p), waiting[0].item, len(waiting[0].payload))
				}
				waiting = waiting[1:]
			}
		}
		for _, w := range waiting {
			if h, p, ok := up.Get(); !ok || h.Item != w.item || !bytes.Equal(p, w.payload) {
				rt.Fatalf("item %d is lost", w.item)
			}
		}
	})
}

// TestSplitPayloads joins what was sent in parts.
func TestSplitPayloads(t *testing.T) {
	mem := mapping(t)
	up := ring.Up(mem)
	_, out := ring.Peer(mem)
	part := bytes.Repeat([]byte("a"), 1000)
	for _, flags := range []uint16{wire.More, wire.More, 0} {
		if !out.Put(wire.Header{Kind: wire.Report, Flags: flags, Item: 1}, part) {
			t.Fatal("no room")
		}
	}
	if _, p, ok := up.Get(); !ok || len(p) != 3000 {
		t.Errorf("%d bytes, want 3000", len(p))
	}
}

// TestTornFrame reads a frame whose payload is not whole yet.
func TestTornFrame(t *testing.T) {
	mem := mapping(t)
	up := ring.Up(mem)
	_, out := ring.Peer(mem)
	out.Put(wire.Header{Kind: wire.Report}, []byte("whole"))
	at := bytes.Index(mem, []byte("whole"))
	mem[at] = 'W'
	if _, _, ok := up.Get(); ok {
		t.Error("a damaged frame was taken")
	}
	mem[at] = 'w'
	if _, p, ok := up.Get(); !ok || string(p) != "whole" {
		t.Errorf("%q, %v: the whole frame was not taken", p, ok)
	}
}

// TestFullRing gives up when the consumer does not read.
func TestFullRing(t *testing.T) {
	mem := mapping(t)
	_, out := ring.Peer(mem)
	up := ring.Up(mem)
	n := 0
	for out.Put(wire.Header{Kind: wire.Passed}, make([]byte, wire.TimingSize)) {
		n++
	}
	if want := ring.UpSize / wire.Size(wire.TimingSize); n != want {
		t.Errorf("%d frames fit, want %d", n, want)
	}
	if _, _, ok := up.Get(); !ok {
		t.Fatal("nothing to read")
	}
	if !out.Put(wire.Header{Kind: wire.Passed}, make([]byte, wire.TimingSize)) {
		t.Error("no room behind a frame that was read")
	}
}

// peer is a Python worker's side: it sends back what it is sent, and checkpoints.
const peer = `
import sys
from dxworker import ring, wire
r = ring.Ring(3, 4, 5)
n = 0
while True:
    kind, item, data = r.wait()
    if kind == wire.FINISH:
        break
    n += 1
    r.checkpoint(item, 2, 1.5)
    r.send(wire.REPORT, item, data * 3)
    r.timed(wire.PASSED, item, 1.0, 2.0, 3.0, 4.0)
r.send(wire.DONE, n, b"bye")
`

// TestPython exchanges frames of all sizes with a real Python process.
func TestPython(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "ring")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(ring.Size); err != nil {
		t.Fatal(err)
	}
	mem, err := mmap.Map(f, mmap.RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Unmap() }()
	bellIn, ringIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hear, bellOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", peer)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../../pyworkers", "PYTHONDONTWRITEBYTECODE=1")
	cmd.ExtraFiles = []*os.File{f, bellIn, bellOut}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bellIn.Close()
	bellOut.Close()

	down, up := ring.Down(mem), ring.Up(mem)
	const frames = 3000
	size := func(i int) int { return (i * 7919) % 5000 }
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		put := func(h wire.Header, p []byte) {
			for !down.Put(h, p) {
			}
			if down.Wake() {
				_, _ = ringIn.Write(make([]byte, 8))
			}
		}
		for i := range frames {
			put(wire.Header{Kind: wire.Report, Item: uint32(i)}, bytes.Repeat([]byte{byte(i)}, size(i)))
		}
		put(wire.Header{Kind: wire.Finish}, nil)
	}()
	next := func() (wire.Header, []byte) {
		for {
			if h, p, ok := up.Get(); ok {
				return h, p
			}
			up.Sleep()
			if h, p, ok := up.Get(); ok {
				up.Awake()
				return h, p
			}
			var b [8]byte
			if _, err := io.ReadFull(hear, b[:]); err != nil {
				t.Fatalf("the peer is gone: %v\n%s", err, stderr.String())
			}
			up.Awake()
		}
	}
	for i := range frames {
		h, p := next()
		if h.Kind != wire.Report || int(h.Item) != i || !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, 3*size(i))) {
			t.Fatalf("frame %d: %+v with %d bytes", i, h, len(p))
		}
		h, p = next()
		timing, ok := wire.ParseTiming(p)
		if h.Kind != wire.Passed || !ok || timing != (wire.Timing{Start: 1, Setup: 2, Call: 3, Teardown: 4}) {
			t.Fatalf("timing %d: %+v %+v", i, h, timing)
		}
	}
	if h, p := next(); h.Kind != wire.Done || h.Item != frames || string(p) != "bye" {
		t.Errorf("the end: %+v %q", h, p)
	}
	if c, ok := ring.ReadCheckpoint(mem); !ok || c.Item != frames-1 || c.Phase != 2 || c.Time != 1.5 {
		t.Errorf("checkpoint %+v, %v", c, ok)
	}
	wg.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

// TestCheckpointIsWhole takes the older slot when the newer one is torn.
func TestCheckpointIsWhole(t *testing.T) {
	mem := mapping(t)
	if _, ok := ring.ReadCheckpoint(mem); ok {
		t.Error("a checkpoint in empty memory")
	}
	cmd := exec.Command("python3", "-c", `
import os, sys
from dxworker import ring
class R(ring.Ring):
    def __init__(self): self.mem, self.checks, self.run = bytearray(4096), 0, 9
r = R()
r.checkpoint(1, 1, 0.5)
r.checkpoint(2, 3, 0.75)
sys.stdout.buffer.write(r.mem)
`)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../../pyworkers", "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	copy(mem, out)
	if c, ok := ring.ReadCheckpoint(mem); !ok || c != (ring.Checkpoint{Run: 9, Item: 2, Phase: 3, Time: 0.75}) {
		t.Fatalf("%+v, %v", c, ok)
	}
	binary.LittleEndian.PutUint32(mem[256+12:], 77) // the newer one is in the first slot
	if c, ok := ring.ReadCheckpoint(mem); !ok || c != (ring.Checkpoint{Run: 9, Item: 1, Phase: 1, Time: 0.5}) {
		t.Errorf("%+v, %v", c, ok)
	}
}
