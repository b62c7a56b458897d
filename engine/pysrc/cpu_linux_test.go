package pysrc

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is what this thread has had of a processor. The caller holds the
// thread: other work on the machine does not count.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
