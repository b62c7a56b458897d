// Package ring carries frames between the engine and one Python worker through
// shared memory: one ring in each direction, each with a single producer and a
// single consumer.
//
// A reader takes a frame when its sequence number is the next one and its CRCs
// hold; so nothing is assumed about the order in which another process's
// writes become visible, and a torn frame is a frame that is not there yet.
// The consumer publishes how far it has read as a number and its complement.
// A doorbell (eventfd or pipe) is rung only when the other side says that it
// sleeps; since that flag may be seen late, sleepers look again after Nap.
//
// The mapping, in bytes:
//
//	0     consumer's position, engine to worker: u64, complement
//	64    worker sleeps: u32
//	128   consumer's position, worker to engine: u64, complement
//	192   engine sleeps: u32
//	256   checkpoint, two slots of 64 bytes
//	4096  ring engine to worker, DownSize bytes
//	4096+DownSize  ring worker to engine, UpSize bytes
package ring

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dx-py/dx-py-ls/engine/wire"
)

const (
	downPos, downSleep   = 0, 64
	upPos, upSleep       = 128, 192
	checkpoint, slotSize = 256, 64
	control              = 4096

	DownSize = 64 << 10
	UpSize   = 1 << 20
	Size     = control + DownSize + UpSize // of the whole mapping

	// Nap is how long a side sleeps at most before it looks again. It bounds
	// what a late look at the other's flag costs; 20 naps a second of an idle
	// worker cost less than can be measured.
	Nap = 50 * time.Millisecond
)

// A Producer writes frames into one ring.
type Producer struct {
	mem      []byte // the whole mapping
	buf      []byte // the ring
	pos      uint64 // bytes written since the beginning
	read     uint64 // bytes that the consumer had read when last seen
	sequence uint64
	posAt    int
	sleepAt  int
}

// A Consumer reads frames from one ring.
type Consumer struct {
	mem      []byte
	buf      []byte
	pos      uint64
	sequence uint64
	posAt    int
	sleepAt  int
	partial  []byte
}

// Down is the producer of the engine's ring, over a mapping of Size bytes.
func Down(mem []byte) *Producer {
	return &Producer{mem: mem, buf: mem[control : control+DownSize], posAt: downPos, sleepAt: downSleep}
}

// Up is the consumer of the worker's ring.
func Up(mem []byte) *Consumer {
	return &Consumer{mem: mem, buf: mem[control+DownSize : Size], posAt: upPos, sleepAt: upSleep}
}

// Peer is the worker's side of a mapping; for tests, in place of a Python one.
func Peer(mem []byte) (*Consumer, *Producer) {
	return &Consumer{mem: mem, buf: mem[control : control+DownSize], posAt: downPos, sleepAt: downSleep},
		&Producer{mem: mem, buf: mem[control+DownSize : Size], posAt: upPos, sleepAt: upSleep}
}

// Put writes one frame; false when there is no room. The payload must not be
// larger than a quarter of the ring.
func (p *Producer) Put(h wire.Header, payload []byte) bool {
	n := uint64(wire.Size(len(payload)))
	size := uint64(len(p.buf))
	at := p.pos % size
	pad := uint64(0)
	if at+n > size {
		pad = size - at
	}
	if p.pos+pad+n-p.read > size {
		if p.read = readPos(p.mem[p.posAt:], p.read); p.pos+pad+n-p.read > size {
			return false
		}
	}
	if pad > 0 {
		p.sequence++
		wire.Put(p.buf[at:], wire.Header{Kind: wire.Wrap, Sequence: p.sequence}, nil)
		p.pos += pad
		at = 0
	}
	p.sequence++
	h.Sequence = p.sequence
	wire.Put(p.buf[at:], h, payload)
	p.pos += n
	return true
}

// Max is the largest payload of one frame: a quarter of the ring, so that
// writing and reading overlap. What is larger is split.
func (p *Producer) Max() int { return len(p.buf) / 4 }

// Wake reports whether the consumer sleeps, and so its doorbell must be rung.
func (p *Producer) Wake() bool {
	flag := word(p.mem[p.sleepAt:])
	return atomic.LoadUint32(flag) != 0 && atomic.CompareAndSwapUint32(flag, 1, 0)
}

// Get returns the next whole frame; split payloads are joined. The payload is
// the caller's. false when none is there.
func (c *Consumer) Get() (wire.Header, []byte, bool) {
	for {
		size := uint64(len(c.buf))
		at := c.pos % size
		h, err := wire.Parse(c.buf[at:])
		if err != nil || h.Sequence != c.sequence+1 {
			return h, nil, false
		}
		if h.Kind == wire.Wrap {
			c.sequence++
			c.advance(size - at)
			continue
		}
		b, err := wire.Payload(c.buf[at:], h)
		if err != nil {
			return h, nil, false
		}
		c.sequence++
		if h.Flags&wire.More != 0 {
			c.partial = append(c.partial, b...)
			c.advance(uint64(wire.Size(len(b))))
			continue
		}
		out := append(c.partial, b...)
		if c.partial == nil {
			out = append(make([]byte, 0, len(b)), b...)
		}
		c.partial = nil
		c.advance(uint64(wire.Size(len(b))))
		return h, out, true
	}
}

func (c *Consumer) advance(n uint64) {
	c.pos += n
	b := c.mem[c.posAt:]
	atomic.StoreUint64(word64(b), c.pos)
	atomic.StoreUint64(word64(b[8:]), ^c.pos)
}

// Sleep says that the consumer will wait for its doorbell. The caller looks
// for a frame once more before it does.
func (c *Consumer) Sleep() { atomic.StoreUint32(word(c.mem[c.sleepAt:]), 1) }

// Awake takes Sleep back.
func (c *Consumer) Awake() { atomic.StoreUint32(word(c.mem[c.sleepAt:]), 0) }

// readPos is a published position; old when the two halves do not agree, or
// are before it.
func readPos(b []byte, old uint64) uint64 {
	pos, inv := atomic.LoadUint64(word64(b)), atomic.LoadUint64(word64(b[8:]))
	if pos != ^inv || pos < old {
		return old
	}
	return pos
}

func word(b []byte) *uint32   { return (*uint32)(unsafe.Pointer(&b[0])) }
func word64(b []byte) *uint64 { return (*uint64)(unsafe.Pointer(&b[0])) }

// Checkpoint is what a worker was about to do when it was last heard of.
type Checkpoint struct {
	Run, Item uint32
	Phase     uint32  // 0 before the first item, 1 setup, 2 call, 3 teardown, 4 between items
	Time      float64 // seconds since 1970
}

// ReadCheckpoint returns the newest whole checkpoint; false when there is none.
// A slot is u64 sequence, u32 run, u32 item, u32 phase, u32 zero, f64 time and
// the u32 CRC of these.
func ReadCheckpoint(mem []byte) (c Checkpoint, ok bool) {
	newest := uint64(0)
	for i := range 2 {
		b := mem[checkpoint+i*slotSize:]
		seq := binary.LittleEndian.Uint64(b)
		if seq <= newest || binary.LittleEndian.Uint32(b[32:]) != crc32.ChecksumIEEE(b[:32]) {
			continue
		}
		newest, ok = seq, true
		c = Checkpoint{
			binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:]),
			math.Float64frombits(binary.LittleEndian.Uint64(b[24:])),
		}
	}
	return c, ok
}
