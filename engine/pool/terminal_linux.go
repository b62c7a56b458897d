package pool

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// size describes a terminal's size, "" for a file that is none.
func size(f *os.File) string {
	if f == nil {
		return ""
	}
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%dx%d", ws.Col, ws.Row)
}

// terminal makes a terminal of the size of another one, that passes on what is
// written as it is.
func terminal(like *os.File) (master, slave *os.File, err error) {
	if master, slave, err = pty.Open(); err != nil {
		return nil, nil, fmt.Errorf("making a terminal: %w", err)
	}
	ws, err := unix.IoctlGetWinsize(int(like.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		err = unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, ws)
	}
	var t *unix.Termios
	if err == nil {
		t, err = unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	}
	if err == nil {
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		master.Close()
		slave.Close()
		return nil, nil, fmt.Errorf("setting a terminal up: %w", err)
	}
	return master, slave, nil
}
