package server

import (
	"golang.org/x/sys/unix"
)

// watchParent ends the server when the process that started it is gone: by a
// descriptor of the process, which becomes readable when it ends.
func (s *server) watchParent(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if err == unix.ESRCH {
			s.once.Do(func() { close(s.exited) })
		}
		return // an old kernel: the closed pipe ends the server
	}
	defer unix.Close(fd)
	for {
		// The server may end first: look up once a second.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			s.once.Do(func() { close(s.exited) })
			return
		}
		if err != nil && err != unix.EINTR {
			return
		}
		select {
		case <-s.exited:
			return
		case <-s.conn.Done():
			return
		default:
		}
	}
}
