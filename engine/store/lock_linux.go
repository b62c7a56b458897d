package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the writer's lock, or ErrBusy. It ends with the process at the
// latest.
func lock(path string) (unlock func(), err error) {
	h, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(h.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		h.Close()
		return nil, ErrBusy
	}
	return func() { h.Close() }, nil
}
