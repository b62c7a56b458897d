package pool

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// heads are the standard output and error of a process that collects, which
// keep what it prints there for all runs of its session.
type heads struct {
	out, err *head    // the same where the caller's are
	same     *os.File // for standard error then, where it is no terminal: what it writes moves its offset only
}

// head is one of them.
type head struct {
	file *os.File // the process's end: shared memory, or a terminal like the caller's

	// of a terminal
	terminal *os.File // the other end
	text     []byte
	read     chan struct{} // closed when all that is printed has been read
}

// shape is what a session depends on of the files that it prints to: whether
// they are terminals, how large, and the same one. Whether other files are the
// same matters only where something was printed on standard error; see fits.
func shape(stdout, stderr *os.File) string {
	out, err := size(stdout), size(stderr)
	if out == "" && err == "" {
		return ""
	}
	return fmt.Sprint(out, err, sameFile(stdout, stderr))
}

// fits reports whether what is kept can be told to these files.
func (h *heads) fits(stdout, stderr *os.File) bool {
	switch {
	case h.out.terminal != nil || h.err.terminal != nil:
		return true // it is in the key
	case h.same != nil:
		at, err := h.same.Seek(0, io.SeekCurrent)
		return sameFile(stdout, stderr) || err == nil && at == 0
	}
	st, err := h.err.file.Stat()
	return !sameFile(stdout, stderr) || err == nil && st.Size() == 0
}

// files are those of the process.
func (h *heads) files() (stdout, stderr *os.File) {
	if h.same != nil {
		return h.out.file, h.same
	}
	return h.out.file, h.err.file
}

func sameFile(a, b *os.File) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// newHeads makes them for a run: what is printed on a terminal is shown there
// meanwhile. They begin with what a stem has printed, nil for none; again says
// that it was for another run.
func newHeads(s *Settings, stem *heads, again bool) (*heads, error) {
	if stem == nil {
		stem = &heads{}
	}
	stdout, stderr := s.Stdout, s.Stderr
	out, err := newHead("dx-head", stdout, !s.beside, stem.out, again)
	if err != nil {
		return nil, err
	}
	h := &heads{out: out, err: out}
	switch {
	case !sameFile(stdout, stderr):
		h.err, err = newHead("dx-head-err", stderr, !s.beside, stem.err, again)
	case out.terminal == nil:
		if h.same, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", out.file.Fd()), os.O_WRONLY|os.O_APPEND, 0); err == nil && stem.same != nil {
			var at int64
			if at, err = stem.same.Seek(0, io.SeekCurrent); err == nil {
				_, err = h.same.Seek(at, io.SeekStart) // see fits
			}
		}
	}
	if err != nil {
		out.close()
		return nil, fmt.Errorf("keeping standard error: %w", err)
	}
	return h, nil
}

// each calls for the heads that there are.
func (h *heads) each(do func(*head)) {
	do(h.out)
	if h.err != h.out {
		do(h.err)
	}
}

func (h *heads) close() {
	h.each((*head).close)
	if h.same != nil {
		h.same.Close()
	}
}

// finish takes the last of what is printed.
func (h *heads) finish() { h.each((*head).finish) }

// tell prints them; again says that this is not the run for which they were
// made, to which terminals have told it already.
func (h *heads) tell(stdout, stderr *os.File, again bool) error {
	err := h.out.tell(stdout, again)
	if h.err != h.out {
		if e := h.err.tell(stderr, again); err == nil {
			err = e
		}
	}
	return err
}

func newHead(name string, like *os.File, show bool, stem *head, again bool) (*head, error) {
	if size(like) == "" {
		f, err := memory(name, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		// Both files of one memory write at its end.
		f, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|os.O_APPEND, 0)
		if err == nil && stem != nil {
			_, err = io.Copy(f, io.NewSectionReader(stem.file, 0, 1<<40))
		}
		return &head{file: f}, err
	}
	h := &head{read: make(chan struct{})}
	var err error
	if h.terminal, h.file, err = terminal(like); err != nil {
		return nil, err
	}
	told := 0
	if stem != nil {
		h.text = slices.Clone(stem.text)
		if !again {
			told = len(h.text)
		}
	}
	if !show {
		like = nil
	}
	go h.listen(like, told)
	return h, nil
}

// mark ends what is printed on a terminal: nobody else prints it.
const mark = "\x00dx: end\x00"

// listen shows and keeps what is printed on a terminal. told is how much of the
// text is shown.
func (h *head) listen(to *os.File, told int) {
	defer close(h.read)
	var buf [4096]byte
	for {
		n, err := h.terminal.Read(buf[:])
		h.text = append(h.text, buf[:n]...)
		// A part of the mark may have come.
		end := len(h.text)
		done := err != nil
		if last := end - len(mark); last >= 0 && string(h.text[last:]) == mark {
			end, done = last, true
			h.text = h.text[:end]
		} else if !done {
			for k := min(len(mark)-1, end); k > 0; k-- {
				if string(h.text[end-k:]) == mark[:k] {
					end -= k
					break
				}
			}
		}
		if to != nil {
			_, _ = to.Write(h.text[told:end]) // one that cannot be written is met again by the run
		}
		if told = end; done {
			return
		}
	}
}

func (h *head) finish() {
	if h.terminal != nil {
		_, _ = h.file.WriteString(mark)
		<-h.read
	}
}

func (h *head) tell(to *os.File, again bool) error {
	if to == nil || h.terminal != nil && !again {
		return nil
	}
	if h.terminal != nil {
		_, err := to.Write(h.text)
		return err
	}
	_, err := io.Copy(to, io.NewSectionReader(h.file, 0, 1<<40))
	return err
}

func (h *head) close() {
	h.file.Close()
	if h.terminal != nil {
		h.terminal.Close()
		<-h.read
	}
}
