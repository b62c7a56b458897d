package server

import (
	"golang.org/x/sys/unix"
)

// WatchProcess calls gone when a process has ended: by a descriptor of it,
// which becomes readable then. It returns once stop is closed, a second later.
func WatchProcess(pid int, stop <-chan struct{}, gone func()) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if err == unix.ESRCH {
			gone()
		}
		return // an old kernel: the closed pipe ends the server
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			gone()
			return
		}
		if err != nil && err != unix.EINTR {
			return
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}
