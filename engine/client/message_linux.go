package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
)

// Supported reports whether there can be a resident process here.
const Supported = true

// A client's first message is its length, in 4 bytes, with its standard files
// beside, and then: magic, protocol, operation, program, description of what
// it inherits, times, folder, arguments, environment. What follows in both
// directions is a kind of 1 byte, a length of 4, and as many bytes.
// Everything is little-endian.

// protocol changes with the layout of messages, kinds and operations.
const protocol = 2

var magic = [4]byte{'d', 'x', 'd', 0}

// MaxRequest bounds a request: Linux lets arguments and environment be 6 MB
// at most (execve(2)).
const MaxRequest = 8 << 20

// Operations.
const (
	OpRun byte = iota
	OpStatus
	OpStop
	OpSession
)

// Kinds of what the resident process says.
const (
	KindAccepted byte = 'a' // the request was read
	KindBegan    byte = 'b' // what follows must not be done twice
	KindEnded    byte = 'e' // exit status in 4 bytes, notes
	KindDeclined byte = 'd' // reason
	KindReplaced byte = 'r' // it is of an older program, and ends
	KindTold     byte = 't' // the answer to another operation
)

// Kinds of what a client says later.
const (
	KindInterrupt byte = 'i'
	KindKill      byte = 'k'
)

// Message is a client's first.
type Message struct {
	Op        byte
	Program   Program
	Inherited string // what the client's children would inherit
	Request

	stream int // of OpSession
}

// Program tells programs, and versions of one, apart.
type Program struct {
	Size, MtimeNs int64
	Dev, Ino      uint64
}

// Encode returns the message behind its length.
func (m *Message) Encode() []byte {
	n := 256 + len(m.Inherited) + len(m.Dir)
	for _, list := range [][]string{m.Argv, m.Vars} {
		for _, s := range list {
			n += 4 + len(s)
		}
	}
	o := binary.LittleEndian
	b := make([]byte, 4, n)
	b = append(append(b, magic[:]...), protocol, m.Op)
	for _, v := range [...]uint64{
		uint64(m.Program.Size), uint64(m.Program.MtimeNs), m.Program.Dev, m.Program.Ino, uint64(m.Began), uint64(m.Asked),
	} {
		b = o.AppendUint64(b, v)
	}
	text := func(s string) { b = append(o.AppendUint32(b, uint32(len(s))), s...) }
	text(m.Inherited)
	text(m.Dir)
	for _, list := range [][]string{m.Argv, m.Vars} {
		b = o.AppendUint32(b, uint32(len(list)))
		for _, s := range list {
			text(s)
		}
	}
	o.PutUint32(b, uint32(len(b)-4))
	return b
}

var (
	// ErrMessage is of a message that is none.
	ErrMessage = errors.New("a message that cannot be read")
	// ErrProtocol is of one in another protocol.
	ErrProtocol = errors.New("another protocol")
)

// Decode reads what stands behind the length; the error is ErrMessage or
// ErrProtocol.
func (m *Message) Decode(b []byte) error {
	if len(b) < 6 || [4]byte(b[:4]) != magic {
		return ErrMessage
	}
	if b[4] != protocol {
		return ErrProtocol
	}
	m.Op = b[5]
	b = b[6:]
	o := binary.LittleEndian
	var v [6]uint64
	if len(b) < 8*len(v) {
		return ErrMessage
	}
	for i := range v {
		v[i] = o.Uint64(b[8*i:])
	}
	b = b[8*len(v):]
	m.Program = Program{Size: int64(v[0]), MtimeNs: int64(v[1]), Dev: v[2], Ino: v[3]}
	m.Began, m.Asked = int64(v[4]), int64(v[5])
	number := func() (n int, ok bool) {
		if len(b) < 4 {
			return 0, false
		}
		n = int(o.Uint32(b))
		b = b[4:]
		return n, n <= len(b)
	}
	text := func() (s string, ok bool) {
		n, ok := number()
		if !ok {
			return "", false
		}
		s, b = string(b[:n]), b[n:]
		return s, true
	}
	list := func() (l []string, ok bool) {
		n, ok := number() // each takes 4 bytes at least, so memory stays within the message's size
		for ok && len(l) < n {
			var s string
			s, ok = text()
			l = append(l, s)
		}
		return l, ok
	}
	var ok [4]bool
	m.Inherited, ok[0] = text()
	m.Dir, ok[1] = text()
	m.Argv, ok[2] = list()
	m.Vars, ok[3] = list()
	if ok != [4]bool{true, true, true, true} || len(b) > 0 {
		return ErrMessage
	}
	return nil
}

// Say is one message of a kind.
func Say(kind byte, text []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(text))), text...)
}

// Now is the time in nanoseconds of CLOCK_MONOTONIC, which all processes share.
func Now() int64 {
	var t syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

const monotonic = 1 // CLOCK_MONOTONIC of clock_gettime(2)

// Entered is when this process was made, as Now.
func Entered() int64 { return inherited.Began() }

// Running is the identity of the running program. Its file may have been
// replaced meanwhile, so it is asked for at the start. The time of its last
// change is left out: while a program runs nobody can write to its file, and a
// link, a chmod or a file system that is behind with its times make no other.
func Running() (Program, error) {
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/exe", &st); err != nil {
		return Program{}, errors.New("the program's file cannot be found without /proc")
	}
	return Program{Size: st.Size, MtimeNs: st.Mtim.Nano(), Dev: st.Dev, Ino: st.Ino}, nil
}

// ours reports whether a folder is the user's.
func ours(dir string) bool {
	var st syscall.Stat_t
	return syscall.Stat(dir, &st) == nil && int(st.Uid) == os.Geteuid()
}

// Private makes the folder, or says why others could have a hand in it.
func Private(dir string) error {
	var st syscall.Stat_t
	err := syscall.Lstat(dir, &st)
	if err == syscall.ENOENT {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			return fmt.Errorf("making a folder for the resident process: %w", err)
		}
		err = syscall.Lstat(dir, &st)
	}
	switch {
	case err != nil:
		return fmt.Errorf("reading the folder of the resident process, %s: %w", dir, err)
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return fmt.Errorf("%s is not a folder; remove it for a resident process", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d; set DX_PY_RUNTIME_DIR for a resident process", dir, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); chmod 700 it for a resident process", dir, st.Mode&0o7777)
	}
	return nil
}

// SameUser reports whether the other end of a socket is the user's.
func SameUser(fd int) bool {
	c, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	return err == nil && int(c.Uid) == os.Geteuid()
}
