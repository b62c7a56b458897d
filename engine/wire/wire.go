// Package wire is the frame that the engine and its Python workers exchange.
//
// A frame is a header of 32 bytes, its payload, and four bytes of the
// payload's CRC, padded with zeros to a multiple of 32. Numbers are
// little-endian, CRCs are IEEE's CRC-32, which both languages have in their
// standard library.
//
//	0  u16 magic      8  u32 length     24 u32 item
//	2  u8  version   12  u64 sequence   28 u32 CRC of the 28 bytes before
//	3  u8  kind      20  u32 run
//	4  u16 flags
//	6  u16 reserved
//
// pyworkers/dxworker/wire.py is the same in Python; both are tested with the
// bytes in testdata/wire, and a test compares their constants.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	Magic      = 0x5844 // "DX"
	Version    = 1
	HeaderSize = 32
	Align      = 32 // frames begin at multiples, so a header never wraps
)

// Kind says what a frame's payload is.
type Kind uint8

const (
	Wrap      Kind = iota + 1 // nothing: the next frame is at the beginning of the ring
	Run                       // engine: pairs of u32, first item and count
	Finish                    // engine: no more items will come
	Stop                      // engine: start nothing further; the payload is the reason
	Passed                    // worker: an item passed in all phases; a Timing
	Report                    // worker: a report of pytest's as JSON
	End                       // worker: an item that was no Passed has ended; a Timing
	Warning                   // worker: a warning as JSON
	Done                      // worker: the session has ended; JSON
	Crash                     // engine: another worker died in this item; JSON
	Observed                  // worker: which files its items opened; JSON
	Functions                 // worker: which functions an item entered; JSON
	Covered                   // worker: which lines an item ran, or all that ran outside of items; JSON
	Down                      // engine: a worker has ended; JSON, the item is its slot
)

// More is set on every frame but the last of a payload that was split.
const More = 1

// Header is what a frame says about its payload.
type Header struct {
	Kind     Kind
	Flags    uint16
	Length   uint32 // of the payload, in bytes
	Sequence uint64 // of the frame in its ring, from 1
	Run      uint32 // the run that the frame belongs to
	Item     uint32 // the item's place in the collected list
}

// Why a header or a payload is not accepted. A reader of a ring takes both for
// "not written yet".
var (
	ErrShort   = errors.New("frame is cut off")
	ErrMagic   = errors.New("not a frame")
	ErrVersion = errors.New("frame of another version")
	ErrCRC     = errors.New("frame is damaged")
)

// Size is the number of bytes that a frame with a payload of n bytes takes.
func Size(n int) int {
	if n == 0 {
		return HeaderSize
	}
	return (HeaderSize + n + 4 + Align - 1) &^ (Align - 1)
}

// Put writes a frame. dst holds at least Size(len(payload)) bytes; the header
// is written last.
func Put(dst []byte, h Header, payload []byte) {
	if len(payload) > 0 {
		copy(dst[HeaderSize:], payload)
		binary.LittleEndian.PutUint32(dst[HeaderSize+len(payload):], crc32.ChecksumIEEE(payload))
	}
	var b [HeaderSize]byte
	binary.LittleEndian.PutUint16(b[0:], Magic)
	b[2], b[3] = Version, byte(h.Kind)
	binary.LittleEndian.PutUint16(b[4:], h.Flags)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[12:], h.Sequence)
	binary.LittleEndian.PutUint32(b[20:], h.Run)
	binary.LittleEndian.PutUint32(b[24:], h.Item)
	binary.LittleEndian.PutUint32(b[28:], crc32.ChecksumIEEE(b[:28]))
	copy(dst, b[:])
}

// Parse reads a header.
func Parse(b []byte) (h Header, err error) {
	if len(b) < HeaderSize {
		return h, ErrShort
	}
	if binary.LittleEndian.Uint16(b) != Magic {
		return h, ErrMagic
	}
	if binary.LittleEndian.Uint32(b[28:]) != crc32.ChecksumIEEE(b[:28]) {
		return h, ErrCRC
	}
	if b[2] != Version {
		return h, fmt.Errorf("%w: %d, not %d", ErrVersion, b[2], Version)
	}
	h = Header{
		Kind: Kind(b[3]), Flags: binary.LittleEndian.Uint16(b[4:]), Length: binary.LittleEndian.Uint32(b[8:]),
		Sequence: binary.LittleEndian.Uint64(b[12:]), Run: binary.LittleEndian.Uint32(b[20:]), Item: binary.LittleEndian.Uint32(b[24:]),
	}
	return h, nil
}

// Payload checks the payload that follows a header and returns it; it shares
// memory with b, which begins with the header.
func Payload(b []byte, h Header) ([]byte, error) {
	if h.Length == 0 {
		return nil, nil
	}
	n := int(h.Length)
	if n < 0 || n > len(b)-HeaderSize-4 {
		return nil, ErrShort
	}
	p := b[HeaderSize : HeaderSize+n]
	if binary.LittleEndian.Uint32(b[HeaderSize+n:]) != crc32.ChecksumIEEE(p) {
		return nil, ErrCRC
	}
	return p, nil
}
