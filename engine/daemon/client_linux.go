package daemon

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
)

// answersIn is how long a resident process may take to say that it has read a
// request; it takes less than a millisecond. A test has less patience.
var answersIn = 5 * time.Second

// interrupted is pytest's exit status.
const interrupted = 2

// Attach has the resident process do what is asked, and returns the exit
// status and its notes. An interrupt asks it to stop, a second one at once;
// they come over the channel, which has room for two.
func Attach(p Place, r Request, interrupts chan os.Signal) (status int, notes string, err error) {
	m := message{op: opRun, Request: r}
	if m.inherited, err = inherited.Read(); err != nil {
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
		for _, kind := range [...]byte{interrupt, kill} {
			select {
			case <-interrupts:
				_ = c.write(say(kind, nil))
			case <-done:
				return
			}
		}
		select {
		case <-time.After(Overdue):
			late.Store(true)
			_ = unix.Shutdown(c.fd, unix.SHUT_RD)
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
		case kind == accepted:
			c.patient()
		case kind == began:
			begun = true
		case kind == ended && len(text) >= 4:
			return int(binary.LittleEndian.Uint32(text)), string(text[4:]), nil
		}
	}
}

// plain is a client's socket. The net package's would cost a start twice what
// the whole exchange takes.
type plain struct{ fd int }

func connect(p Place, m *message) (plain, error) {
	var err error
	if m.program, err = program(); err != nil {
		return plain{}, &Declined{err.Error()}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return plain{}, fmt.Errorf("making a socket: %w", err)
	}
	c := plain{fd}
	for {
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: p.socket()}); err != unix.EINTR {
			break
		}
	}
	if err != nil || !sameUser(fd) {
		c.close()
		return c, ErrNone
	}
	t := unix.NsecToTimeval(int64(answersIn))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t)
	b := m.encode()
	if len(b) > maxRequest {
		c.close()
		return c, &Declined{fmt.Sprintf("arguments and environment have %d bytes, more than %d", len(b), maxRequest)}
	}
	var rights []byte
	if m.op == opRun {
		for i, f := range m.Files {
			if _, err := unix.FcntlInt(uintptr(i), unix.F_GETFD, 0); err != nil || f == nil {
				c.close()
				return c, &Declined{} // who closes them has a reason
			}
		}
		rights = unix.UnixRights(0, 1, 2)
	}
	if m.op == opSession {
		rights = unix.UnixRights(m.stream, m.stream, 2)
	}
	if err := unix.Sendmsg(fd, b[:4], rights, nil, unix.MSG_NOSIGNAL); err != nil {
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
	case errors.Is(err, unix.EAGAIN):
		return ErrSilent
	case err != nil:
		return ErrLost
	case kind == declined:
		return &Declined{string(text)}
	case kind == replaced:
		return ErrReplaced
	}
	return nil
}

// patient has reads wait as long as it takes.
func (c plain) patient() {
	_ = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{})
}

func (c plain) close() { unix.Close(c.fd) }

func (c plain) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

func (c plain) fill(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EINTR:
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
	if n > maxRequest {
		return 0, nil, errMessage
	}
	text = make([]byte, n)
	return head[0], text, c.fill(text)
}

// ask has another operation done.
func ask(p Place, op byte) ([]byte, error) {
	c, err := connect(p, &message{op: op})
	if err != nil {
		return nil, err
	}
	defer c.close()
	for {
		kind, text, err := c.read()
		switch {
		case err != nil:
			return nil, ErrLost
		case kind == told:
			return text, nil
		}
	}
}

// Ask returns what the resident process says of itself; ErrNone when there is
// none.
func Ask(p Place) (s Status, err error) {
	b, err := ask(p, opStatus)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// Stop ends the resident process; its runs are interrupted. It returns when
// the process has given its place free.
func Stop(p Place) error {
	if _, err := ask(p, opStop); err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // a lock has no event
		unlock, err := lock(p)
		if err == nil {
			unlock()
			return nil
		}
		if time.Since(began) > answersIn {
			return errors.New("the resident process does not end; see `dx-py daemon status` for its pid")
		}
	}
}

// Start starts a resident process, by a command that calls Serve and whose
// file descriptor 3 tells how that went, and waits until clients can connect.
// It is not ours when another process had the place.
func Start(p Place, argv, env []string, log *os.File) (ours bool, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("making a pipe: %w", err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("finding the program's file: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args, cmd.Env, cmd.Dir = argv, env, "/" // it must not hold a folder that is to go
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return false, fmt.Errorf("starting the resident process: %w", err)
	}
	_ = cmd.Process.Release()
	_ = r.SetReadDeadline(time.Now().Add(answersIn))
	var said [256]byte
	n, _ := r.Read(said[:])
	switch text := string(said[:n]); text {
	case readyText, busyText:
		return text == readyText, nil
	case "":
		return false, errors.New("the resident process did not start")
	default:
		return false, errors.New(text)
	}
}

// Ready is for Options.Ready in the process that Start started.
func Ready(err error) {
	f := os.NewFile(3, "ready")
	defer f.Close()
	switch {
	case err == nil:
		_, _ = f.WriteString(readyText)
	case errors.Is(err, errBusy):
		_, _ = f.WriteString(busyText)
	default:
		_, _ = f.WriteString(err.Error())
	}
}

const (
	readyText = "ready"
	busyText  = "busy"
)
