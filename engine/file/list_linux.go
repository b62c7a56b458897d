package file

import (
	"bytes"
	"sort"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direntName is the offset of d_name in struct linux_dirent64 (getdents64(2)).
const direntName = 19

var direntBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// List returns the entries of a directory sorted by name (bytes, as Python
// sorts the same names), with the identities of regular files whose name ends
// with suffix: one getdents per block and one fstatat per such file, half the
// time of os.ReadDir and Info on 10,000 files. Links are followed.
func List(dir, suffix string) ([]Entry, error) {
	fd, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := direntBuffers.Get().(*[]byte)
	defer direntBuffers.Put(buf)
	var out []Entry
	for {
		n, err := unix.ReadDirent(fd, *buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		for b := (*buf)[:n]; len(b) > direntName; {
			d := (*syscall.Dirent)(unsafe.Pointer(&b[0]))
			name := b[direntName:d.Reclen]
			b = b[d.Reclen:]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			if string(name) == "." || string(name) == ".." {
				continue
			}
			out = append(out, entryOf(fd, string(name), d.Type, suffix))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func entryOf(fd int, name string, typ uint8, suffix string) Entry {
	e := Entry{Name: name}
	switch typ {
	case unix.DT_DIR:
		e.Kind = Dir
		return e
	case unix.DT_REG:
		e.Kind = Regular
		if !strings.HasSuffix(name, suffix) {
			return e
		}
	case unix.DT_LNK:
		e.Link = true
	case unix.DT_UNKNOWN:
	default:
		return e
	}
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, 0) != nil {
		e.Kind = Other
		return e
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Kind = Dir
	case unix.S_IFREG:
		e.Kind, e.ID = Regular, identity(&st)
	default:
		e.Kind = Other
	}
	return e
}

func open(p string, flags int) (int, error) {
	for {
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func identity(st *unix.Stat_t) Identity {
	return Identity{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), uint64(st.Dev), st.Ino}
}

// Stat returns the identity of a regular file, links followed; false when
// there is none.
func Stat(p string) (Identity, bool) {
	var st unix.Stat_t
	if unix.Stat(p, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Identity{}, false
	}
	return identity(&st), true
}

// StatAny is Stat for folders too.
func StatAny(p string) (Identity, bool) {
	var st unix.Stat_t
	if unix.Stat(p, &st) != nil {
		return Identity{}, false
	}
	return identity(&st), true
}

// Read reads a regular file into buf, growing it when it is too small, and
// returns its bytes (in buf) with the identity that the open file had. Opening
// and reading into one reused buffer takes half the time of os.ReadFile.
func Read(p string, buf []byte) ([]byte, Identity, error) {
	fd, err := open(p, unix.O_NONBLOCK) // a fifo in a test folder must not hang us
	if err != nil {
		return nil, Identity{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, Identity{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, Identity{}, unix.EINVAL
	}
	if int64(cap(buf)) <= st.Size {
		buf = make([]byte, st.Size+st.Size/8+4096)
	}
	buf = buf[:cap(buf)]
	n := 0
	for {
		k, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, Identity{}, err
		}
		n += k
		if k == 0 || int64(n) == st.Size && n < len(buf) {
			return buf[:n], identity(&st), nil
		}
		if n == len(buf) { // it grew while we read
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}
