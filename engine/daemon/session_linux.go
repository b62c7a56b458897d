package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
)

// Stream is one end of what the resident process serves, both ways, for as long
// as it is open. It is an io.ReadWriteCloser.
type Stream struct {
	*os.File
	control plain
	mu      sync.Mutex // held while the control is read, and when it is closed
}

// Open has the resident process serve a stream: its handler of sessions reads
// from Files[0] of its Call and writes to Files[1]. Its errors are Attach's.
// The request's files do not count; the third is the process's standard error.
func Open(p Place, r Request) (*Stream, error) {
	m := message{op: opSession, Request: r}
	var err error
	if m.inherited, err = inherited.Read(); err != nil {
		return nil, &Declined{err.Error()}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	m.stream = pair[1]
	c, err := connect(p, &m)
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	for {
		kind, text, err := c.read()
		if err := refusal(kind, text, err); err != nil {
			unix.Close(pair[0])
			c.close()
			return nil, err
		}
		if kind == accepted {
			break
		}
	}
	c.patient()
	_ = unix.SetNonblock(pair[0], true) // so that Close ends a Read that waits
	return &Stream{File: os.NewFile(uintptr(pair[0]), "the resident process"), control: c}, nil
}

// Lost is why a stream ended: ErrStopped when the resident process was asked to
// end, nil when its handler returned, else it was killed. It waits for an end;
// ask when a Read says that there is no more.
func (s *Stream) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch kind, text, err := s.control.read(); {
		case err != nil:
			return ErrBroken
		case kind == declined:
			return &Declined{string(text)}
		case kind == ended && len(text) >= 4 && text[0] == stoppedStatus:
			return ErrStopped
		case kind == ended:
			return nil
		}
	}
}

// Close ends the session, wherever it is.
func (s *Stream) Close() error {
	err := s.File.Close()
	if !errors.Is(err, os.ErrClosed) {
		_ = unix.Shutdown(s.control.fd, unix.SHUT_RDWR) // ends a read that waits
		s.mu.Lock()
		defer s.mu.Unlock()
		s.control.close()
	}
	return err
}

// stoppedStatus is the status of a session that ended because the process does.
const stoppedStatus = 1

// cut has a session's reads and writes fail once it is to end: a client that
// does not read would hold up the process's end.
func (c *Call) cut(ctx context.Context) (stop func() bool) {
	stream := c.Files[0]
	return context.AfterFunc(ctx, func() {
		if raw, err := stream.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
		}
	})
}
