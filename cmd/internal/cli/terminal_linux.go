package cli

import "golang.org/x/sys/unix"

// keepLines has the end of a line written as before, on a terminal that was
// made raw: what tests print goes there too.
func keepLines(fd int) {
	if t, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		t.Oflag |= unix.OPOST | unix.ONLCR
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}
}
