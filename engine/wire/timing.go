package wire

import (
	"encoding/binary"
	"math"
)

// TimingSize is the number of bytes of a Timing.
const TimingSize = 24

// Timing is when an item ran. A phase that did not run has a negative
// duration.
type Timing struct {
	Start                 float64 // seconds since 1970
	Setup, Call, Teardown float32 // seconds
	Flags                 uint32
}

// Seconds is how long the phases that ran took together.
func (t Timing) Seconds() float64 {
	return float64(max(t.Setup, 0) + max(t.Call, 0) + max(t.Teardown, 0))
}

// Append writes a timing behind b.
func (t Timing) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(t.Start))
	for _, f := range [3]float32{t.Setup, t.Call, t.Teardown} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return binary.LittleEndian.AppendUint32(b, t.Flags)
}

// ParseTiming reads a timing; false when b has another size.
func ParseTiming(b []byte) (t Timing, ok bool) {
	if len(b) != TimingSize {
		return t, false
	}
	f := func(at int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b[at:])) }
	t = Timing{math.Float64frombits(binary.LittleEndian.Uint64(b)), f(8), f(12), f(16), binary.LittleEndian.Uint32(b[20:])}
	return t, true
}
