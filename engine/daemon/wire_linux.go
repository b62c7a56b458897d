package daemon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/file"
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

// maxRequest bounds a request: Linux lets arguments and environment be 6 MB
// at most (execve(2)).
const maxRequest = 8 << 20

// Operations.
const (
	opRun byte = iota
	opStatus
	opStop
	opSession
)

// Kinds of what the resident process says.
const (
	accepted byte = 'a' // the request was read
	began    byte = 'b' // what follows must not be done twice
	ended    byte = 'e' // exit status in 4 bytes, notes
	declined byte = 'd' // reason
	replaced byte = 'r' // it is of an older program, and ends
	told     byte = 't' // the answer to another operation
)

// Kinds of what a client says later.
const (
	interrupt byte = 'i'
	kill      byte = 'k'
)

// message is a client's first.
type message struct {
	op        byte
	program   file.Identity
	inherited string
	stream    int // of opSession
	Request
}

func (m *message) encode() []byte {
	n := 256 + len(m.inherited) + len(m.Dir)
	for _, list := range [][]string{m.Argv, m.Vars} {
		for _, s := range list {
			n += 4 + len(s)
		}
	}
	o := binary.LittleEndian
	b := make([]byte, 4, n)
	b = append(append(b, magic[:]...), protocol, m.op)
	for _, v := range [...]uint64{
		uint64(m.program.Size), uint64(m.program.MtimeNs), uint64(m.program.CtimeNs), m.program.Dev, m.program.Ino, uint64(m.Began), uint64(m.Asked),
	} {
		b = o.AppendUint64(b, v)
	}
	text := func(s string) { b = append(o.AppendUint32(b, uint32(len(s))), s...) }
	text(m.inherited)
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
	errMessage  = errors.New("a message that cannot be read")
	errProtocol = errors.New("another protocol")
)

// decode reads what stands behind the length.
func (m *message) decode(b []byte) error {
	if len(b) < 6 || [4]byte(b[:4]) != magic {
		return errMessage
	}
	if b[4] != protocol {
		return errProtocol
	}
	m.op = b[5]
	b = b[6:]
	o := binary.LittleEndian
	var v [7]uint64
	if len(b) < 8*len(v) {
		return errMessage
	}
	for i := range v {
		v[i] = o.Uint64(b[8*i:])
	}
	b = b[8*len(v):]
	m.program = file.Identity{Size: int64(v[0]), MtimeNs: int64(v[1]), CtimeNs: int64(v[2]), Dev: v[3], Ino: v[4]}
	m.Began, m.Asked = int64(v[5]), int64(v[6])
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
	m.inherited, ok[0] = text()
	m.Dir, ok[1] = text()
	m.Argv, ok[2] = list()
	m.Vars, ok[3] = list()
	if ok != [4]bool{true, true, true, true} || len(b) > 0 {
		return errMessage
	}
	return nil
}

// say is one message of a kind.
func say(kind byte, text []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(text))), text...)
}

// Now is the time in nanoseconds of CLOCK_MONOTONIC, which all processes share.
func Now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// Entered is when this process was made, as Now.
func Entered() int64 { return inherited.Began() }

// program is the identity of the running program. Its file may have been
// replaced meanwhile, so it is asked for at the start. The time of its last
// change is left out: while a program runs nobody can write to its file, and a
// link, a chmod or a file system that is behind with its times make no other.
func program() (file.Identity, error) {
	id, ok := file.StatAny("/proc/self/exe")
	if !ok {
		return id, errors.New("the program's file cannot be found without /proc")
	}
	id.CtimeNs = 0
	return id, nil
}

// ours reports whether a folder is the user's.
func ours(dir string) bool {
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && int(st.Uid) == os.Geteuid()
}

// private makes the folder, or says why others could have a hand in it.
func private(dir string) error {
	var st unix.Stat_t
	err := unix.Lstat(dir, &st)
	if err == unix.ENOENT {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			return fmt.Errorf("making a folder for the resident process: %w", err)
		}
		err = unix.Lstat(dir, &st)
	}
	switch {
	case err != nil:
		return fmt.Errorf("reading the folder of the resident process, %s: %w", dir, err)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a folder; remove it for a resident process", dir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d; set DX_PY_RUNTIME_DIR for a resident process", dir, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); chmod 700 it for a resident process", dir, st.Mode&0o7777)
	}
	return nil
}

// sameUser reports whether the other end of a socket is the user's.
func sameUser(fd int) bool {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && int(c.Uid) == os.Geteuid()
}
