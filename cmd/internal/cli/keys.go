package cli

import (
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// keyboard gives the keys that are typed, when standard input is a terminal:
// without an echo and without waiting for the end of a line. restore puts the
// terminal back and may be called again. There are no keys without a terminal.
func keyboard(in *os.File) (keys <-chan rune, restore func()) {
	if in == nil || !term.IsTerminal(int(in.Fd())) {
		return nil, func() {}
	}
	fd := int(in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, func() {}
	}
	keepLines(fd)
	to := make(chan rune)
	go read(in, to)
	return to, func() { _ = term.Restore(fd, before) }
}

// read sends what is typed. It ends with its file, or the process: a read from
// a terminal cannot be given up.
func read(in *os.File, to chan<- rune) {
	var buf [64]byte
	have := 0
	for {
		n, err := in.Read(buf[have:])
		have += n
		at := 0
		for at < have && (utf8.FullRune(buf[at:have]) || have-at >= utf8.UTFMax) {
			r, size := utf8.DecodeRune(buf[at:have])
			to <- r
			at += size
		}
		have = copy(buf[:], buf[at:have])
		if err != nil {
			close(to)
			return
		}
	}
}

// What keys send in raw mode.
const (
	keyInterrupt = 3
	keyEnd       = 4 // Ctrl-D
	keyBackspace = 127
	keyErase     = 8
	keyEscape    = 27
)
