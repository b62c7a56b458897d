package pysrc

import (
	"encoding/binary"
	"math/bits"
)

// difference returns the one range that differs: old[start:oldEnd] became
// new[start:newEnd]. It covers all edits since the last parse, which is all
// that an incremental one needs.
func difference(old, new []byte) (start, oldEnd, newEnd int) {
	n := min(len(old), len(new))
	for start+8 <= n {
		if x := binary.LittleEndian.Uint64(old[start:]) ^ binary.LittleEndian.Uint64(new[start:]); x != 0 {
			start += bits.TrailingZeros64(x) / 8
			break
		}
		start += 8
	}
	for start < n && old[start] == new[start] {
		start++
	}
	oldEnd, newEnd = len(old), len(new)
	for oldEnd-8 >= start && newEnd-8 >= start {
		x := binary.LittleEndian.Uint64(old[oldEnd-8:]) ^ binary.LittleEndian.Uint64(new[newEnd-8:])
		if x != 0 {
			break
		}
		oldEnd, newEnd = oldEnd-8, newEnd-8
	}
	for oldEnd > start && newEnd > start && old[oldEnd-1] == new[newEnd-1] {
		oldEnd--
		newEnd--
	}
	return start, oldEnd, newEnd
}
