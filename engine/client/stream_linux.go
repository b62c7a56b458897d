package client

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
)

// Stream is one end of what the resident process serves, both ways, for as long
// as it is open. It is an io.ReadWriteCloser.
type Stream struct {
	*os.File
	pid     int // of the resident process
	control plain
	mu      sync.Mutex // held while the control is read, and when it is closed
}

// Open has the resident process serve a stream: its handler of sessions reads
// from Files[0] of its Call and writes to Files[1]. Its errors are Attach's.
// The request's files do not count; the third is the process's standard error.
func Open(p Place, r Request) (*Stream, error) {
	m := Message{Op: OpSession, Request: r}
	var err error
	if m.Inherited, err = inherited.Read(); err != nil {
		return nil, &Declined{err.Error()}
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	m.stream = pair[1]
	c, err := connect(p, &m)
	syscall.Close(pair[1])
	if err != nil {
		syscall.Close(pair[0])
		return nil, err
	}
	for {
		kind, text, err := c.read()
		if err := refusal(kind, text, err); err != nil {
			syscall.Close(pair[0])
			c.close()
			return nil, err
		}
		if kind == KindAccepted {
			break
		}
	}
	c.patient()
	_ = syscall.SetNonblock(pair[0], true) // so that Close ends a Read that waits
	s := &Stream{File: os.NewFile(uintptr(pair[0]), "the resident process"), control: c}
	if peer, err := syscall.GetsockoptUcred(c.fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
		s.pid = int(peer.Pid)
	}
	return s, nil
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
		case kind == KindDeclined:
			return &Declined{string(text)}
		case kind == KindEnded && len(text) >= 4 && text[0] == StoppedStatus:
			return ErrStopped
		case kind == KindEnded:
			return nil
		}
	}
}

// Close ends the session, wherever it is.
func (s *Stream) Close() error {
	err := s.File.Close()
	if !errors.Is(err, os.ErrClosed) {
		_ = syscall.Shutdown(s.control.fd, syscall.SHUT_RDWR) // ends a read that waits
		s.mu.Lock()
		defer s.mu.Unlock()
		s.control.close()
	}
	return err
}

// Stopped reports whether a signal has stopped the resident process.
func (s *Stream) Stopped() bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(s.pid) + "/stat")
	if err != nil {
		return false
	}
	// the state stands behind the name, which may hold anything
	_, rest, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	return strings.HasPrefix(rest, "T")
}

// StoppedStatus is the status of a session that ended because the process does.
const StoppedStatus = 1
