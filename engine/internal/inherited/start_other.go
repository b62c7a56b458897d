//go:build !linux || !cgo

package inherited

func nofile() (soft uint64, ok bool) { return 0, false }

// Began is when the process was made, in nanoseconds of CLOCK_MONOTONIC; 0
// where that is not known.
func Began() int64 { return 0 }
