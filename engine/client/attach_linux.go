package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
)

// AnswersIn is how long a resident process may take to say that it has read a
// request; it takes less than a millisecond. A test has less patience.
var AnswersIn = 5 * time.Second

// interrupted is pytest's exit status.
const interrupted = 2

// Attach has the resident process do what is asked, and returns the exit
// status and its notes. An interrupt asks it to stop, a second one at once;
// they come over the channel, which has room for two.
func Attach(p Place, r Request, interrupts chan os.Signal) (status int, notes string, err error) {
	m := Message{Op: OpRun, Request: r}
	if m.Inherited, err = inherited.Read(); err != nil {
		return 0, "", &Declined{err.Error()}
	}
	c, err := connect(p, &m)
	if err != nil {
		return 0, "", err
	}
	// Not before the request is sent: it takes time, and until then there is
	// nothing to stop.
	signal.Notify(interrupts, Ends()...)
	var late atomic.Bool
	done, passed := make(chan struct{}), make(chan struct{})
	defer func() { signal.Stop(interrupts); close(done); <-passed; c.close() }()
	go func() {
		defer close(passed)
		for _, kind := range [...]byte{KindInterrupt, KindKill} {
			select {
			case <-interrupts:
				_ = c.write(Say(kind, nil))
			case <-done:
				return
			}
		}
		select {
		case <-time.After(Overdue):
			late.Store(true)
			_ = syscall.Shutdown(c.fd, syscall.SHUT_RD)
		case <-done:
		}
	}()
	begun := false
	for {
		kind, text, err := c.read()
		switch {
		case err != nil && late.Load():
			return interrupted, "", nil
		case err != nil && begun:
			return 0, "", ErrBroken
		case refusal(kind, text, err) != nil:
			return 0, "", refusal(kind, text, err)
		case kind == KindAccepted:
			c.patient()
		case kind == KindBegan:
			begun = true
		case kind == KindEnded && len(text) >= 4:
			return int(binary.LittleEndian.Uint32(text)), string(text[4:]), nil
		}
	}
}

// plain is a client's socket. The net package's would cost a start twice what
// the whole exchange takes.
type plain struct{ fd int }

func connect(p Place, m *Message) (plain, error) {
	var err error
	if m.Program, err = Running(); err != nil {
		return plain{}, &Declined{err.Error()}
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return plain{}, fmt.Errorf("making a socket: %w", err)
	}
	c := plain{fd}
	for {
		if err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: p.Socket()}); err != syscall.EINTR {
			break
		}
	}
	if err != nil || !SameUser(fd) {
		c.close()
		return c, ErrNone
	}
	t := syscall.NsecToTimeval(int64(AnswersIn))
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &t)
	b := m.Encode()
	if len(b) > MaxRequest {
		c.close()
		return c, &Declined{fmt.Sprintf("arguments and environment have %d bytes, more than %d", len(b), MaxRequest)}
	}
	var rights []byte
	if m.Op == OpRun {
		for i, f := range m.Files {
			if _, _, err := syscall.Syscall(syscall.SYS_FCNTL, uintptr(i), syscall.F_GETFD, 0); err != 0 || f == nil {
				c.close()
				return c, &Declined{} // who closes them has a reason
			}
		}
		rights = syscall.UnixRights(0, 1, 2)
	}
	if m.Op == OpSession {
		rights = syscall.UnixRights(m.stream, m.stream, 2)
	}
	if err := syscall.Sendmsg(fd, b[:4], rights, nil, syscall.MSG_NOSIGNAL); err != nil {
		c.close()
		return c, ErrNone
	}
	if err := c.write(b[4:]); err != nil {
		c.close()
		return c, ErrNone
	}
	return c, nil
}

// refusal is why the resident process does not do what it is asked; nil when
// it says something else.
func refusal(kind byte, text []byte, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return ErrSilent
	case err != nil:
		return ErrLost
	case kind == KindDeclined:
		return &Declined{string(text)}
	case kind == KindReplaced:
		return ErrReplaced
	}
	return nil
}

// patient has reads wait as long as it takes.
func (c plain) patient() {
	_ = syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{})
}

func (c plain) close() { syscall.Close(c.fd) }

func (c plain) write(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.SendmsgN(c.fd, b, nil, nil, syscall.MSG_NOSIGNAL)
		if err != nil && err != syscall.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

func (c plain) fill(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(c.fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return ErrLost
		default:
			b = b[n:]
		}
	}
	return nil
}

func (c plain) read() (kind byte, text []byte, err error) {
	var head [5]byte
	if err := c.fill(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > MaxRequest {
		return 0, nil, ErrMessage
	}
	text = make([]byte, n)
	return head[0], text, c.fill(text)
}

// Ask has another operation done, and returns the answer; ErrNone when there is
// no resident process.
func Ask(p Place, op byte) ([]byte, error) {
	c, err := connect(p, &Message{Op: op})
	if err != nil {
		return nil, err
	}
	defer c.close()
	for {
		kind, text, err := c.read()
		switch {
		case err != nil:
			return nil, ErrLost
		case kind == KindTold:
			return text, nil
		}
	}
}
