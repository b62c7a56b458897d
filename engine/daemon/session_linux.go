package daemon

import (
	"context"

	"golang.org/x/sys/unix"
)

// cut has a session's reads and writes fail once it is to end: a client that
// does not read would hold up the process's end.
func (c *Call) cut(ctx context.Context) (stop func() bool) {
	stream := c.Files[0]
	return context.AfterFunc(ctx, func() {
		if raw, err := stream.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
		}
	})
}
