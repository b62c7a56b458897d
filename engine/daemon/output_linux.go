package daemon

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// errStalled says that somebody who does not read has been given up.
var errStalled = errors.New("nobody reads standard output, and nobody waits for that")

// Output writes to the caller's standard output until nobody waits any more: a
// reader that has stopped, as long as it has the pipe, would hold the call and
// what the engine makes ready between calls.
func (c *Call) Output() io.Writer { return output{c} }

type output struct{ call *Call }

// page is what a pipe that can be written takes at once (pipe(7), PIPE_BUF).
const page = 4096

func (o output) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		if !o.ready() {
			return written, errStalled
		}
		n, err := o.call.Files[1].Write(b[:min(len(b), page)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

// ready waits until something can be written; false when nobody waits for that.
func (o output) ready() bool {
	raw, err := o.call.Files[1].SyscallConn()
	if err != nil {
		return true // the write says why
	}
	for patience := 0; ; patience = 50 {
		ready := true
		_ = raw.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, patience)
			ready = n > 0 || err != nil && err != unix.EINTR
		})
		if ready {
			return true
		}
		select {
		case <-o.call.Kill:
			return false
		default:
		}
	}
}
