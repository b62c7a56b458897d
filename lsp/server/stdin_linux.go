package server

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Interruptible makes a file's reads end when it is closed: a read of standard
// input, which blocks, would hold the server up behind exit until the client
// closes its end. The descriptor is not made non-blocking, since standard
// output may be the same socket.
func Interruptible(r io.Reader) io.Reader {
	f, ok := r.(*os.File)
	if !ok {
		return r
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return r
	}
	return &polled{file: f, wake: wake}
}

type polled struct {
	file *os.File
	wake int
	once sync.Once
	mu   sync.Mutex // held by a read
}

func (p *polled) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake < 0 {
		return 0, io.EOF
	}
	fds := []unix.PollFd{{Fd: int32(p.file.Fd()), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
		case fds[1].Revents != 0:
			return 0, io.EOF
		case err != nil:
			return 0, err
		default:
			return p.file.Read(b)
		}
	}
}

// Close ends a read that waits, and all later ones.
func (p *polled) Close() error {
	p.once.Do(func() {
		_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		p.mu.Lock()
		defer p.mu.Unlock()
		unix.Close(p.wake)
		p.wake = -1
	})
	return nil
}
