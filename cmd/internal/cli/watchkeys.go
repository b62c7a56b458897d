package cli

import (
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/dx-py/dx-py-ls/engine/run"
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

// ask has a job run now, in place of the one that goes on.
func (w *watching) ask(j *job) {
	w.next = j
	if w.now == nil {
		w.start(j)
		return
	}
	w.now.stopped = true
	w.now.cancel(run.Interrupted)
}

// key does what a key asks for, and reports whether that is to quit.
func (w *watching) key(k rune) (quit bool) {
	if w.typed != nil {
		return w.typing(k)
	}
	switch k {
	case keyInterrupt:
		if w.now == nil || w.now.stopped {
			return true
		}
		w.next, w.now.stopped = nil, true
		w.now.cancel(run.Interrupted)
	case 'q', keyEnd:
		return true
	case 'a':
		w.pattern = ""
		w.ask(&job{reason: "all", all: true})
	case 'f':
		if len(w.last.bad) == 0 {
			w.screen.line("no test has failed")
			break
		}
		ids := make([]string, len(w.last.bad))
		for i, id := range w.last.bad {
			ids[i] = w.last.id(id)
		}
		w.ask(&job{reason: "failed tests", ids: ids})
	case '\r', '\n':
		w.again()
	case 'p':
		w.typed = &[]rune{}
		w.screen.prompt("")
	}
	return false
}

// again runs what ran last.
func (w *watching) again() { w.ask(&job{reason: "again", pattern: w.pattern, all: w.pattern == ""}) }

// typing takes a key of the pattern's line.
func (w *watching) typing(k rune) (quit bool) {
	line := w.typed
	switch {
	case k == keyInterrupt || k == keyEscape:
		w.typed = nil
		w.screen.line("")
		w.settle()
	case k == '\r' || k == '\n':
		w.typed = nil
		w.screen.line("")
		if w.pattern = strings.TrimSpace(string(*line)); w.pattern == "" {
			w.ask(&job{reason: "all", all: true})
		} else {
			w.ask(&job{reason: "pattern", pattern: w.pattern})
		}
		return false
	case k == keyBackspace || k == keyErase:
		*line = (*line)[:max(len(*line)-1, 0)]
	case unicode.IsPrint(k):
		*line = append(*line, k)
	}
	if w.typed != nil {
		w.screen.prompt(string(*line))
	}
	return false
}
