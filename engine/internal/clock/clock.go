// Package clock is the time that tells what is old, and when nothing has been
// asked for long enough. What a process is given to answer in is none of its:
// that is measured.
package clock

import "time"

// Clock is a clock: the system's, or one that a test sets.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own, or in that of who sets the
	// clock.
	AfterFunc(d time.Duration, f func()) Alarm
}

// Alarm is what AfterFunc has set. Stop is false when it has gone off.
type Alarm interface{ Stop() bool }

// System is the system's clock.
type System struct{}

// Now is time.Now.
func (System) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (System) AfterFunc(d time.Duration, f func()) Alarm { return time.AfterFunc(d, f) }

// Or is the clock itself, the system's for nil.
func Or(c Clock) Clock {
	if c == nil {
		return System{}
	}
	return c
}
