package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Opens hears which files of some folders any process opens while a door is
// ajar: processes that others start tell nobody what they read. Whoever is
// about to start one opens the file Began with its own number at the end,
// whoever has none any more the file Ended with it; the kernel puts these
// among the other events in the order in which all that happened.
type Opens struct {
	dir    string // of the doors; absolute
	file   *os.File
	conn   syscall.RawConn
	ended  sync.WaitGroup
	mu     sync.Mutex
	wds    map[int32][]string // watched paths; one folder may have several
	aside  map[string]bool    // those that may go
	doors  int32
	root   int32
	ajar   map[string]bool
	opened map[string]bool
	bytes  map[string]bool // folders of compiled modules that came late
	begun  bool
	proved bool // an event of the root came, as it has to
	lost   bool
}

// The names of the files by which a door is opened and closed, in Doors.
const (
	Began = "b"
	Ended = "e"
)

const compiled = "__pycache__"

// HearOpens hears what is opened in folders, without those below, and files
// that are links. The first folder is the project's root. Those of aside may go
// meanwhile, with what tests read in them.
func HearOpens(folders, links, aside []string) (*Opens, error) {
	dir, err := os.MkdirTemp("", "dx-py-doors-")
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	o := &Opens{
		dir: dir, file: os.NewFile(uintptr(fd), "inotify"), wds: map[int32][]string{}, aside: map[string]bool{}, ajar: map[string]bool{}, opened: map[string]bool{}, bytes: map[string]bool{},
	}
	if o.conn, err = o.file.SyscallConn(); err == nil {
		o.doors, err = o.watch(dir, unix.IN_OPEN)
	}
	for i, d := range folders {
		if err != nil {
			break
		}
		var wd int32
		if wd, err = o.watch(d, unix.IN_OPEN|unix.IN_CREATE|unix.IN_MOVE_SELF); i == 0 {
			o.root = wd
		} else {
			err = unlessGone(err)
		}
		if err == nil {
			_, err = o.watch(filepath.Join(d, compiled), unix.IN_OPEN)
			err = unlessGone(err)
		}
	}
	for _, d := range aside {
		if err == nil {
			o.aside[d] = true
			_, _ = o.watch(d, unix.IN_OPEN) // as many as there can be
		}
	}
	for _, p := range links {
		if err == nil {
			_, err = o.watch(p, unix.IN_OPEN)
			err = unlessGone(err)
		}
	}
	if err != nil {
		o.Close()()
		return nil, err
	}
	o.ended.Go(func() {
		_ = o.conn.Read(func(fd uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.drain(int(fd))
			return false
		})
	})
	return o, nil
}

func unlessGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return err
}

// Doors is the folder in which the files Began and Ended are opened, with any
// number behind their names.
func (o *Opens) Doors() string { return o.dir }

// Begin has to be called when all is compiled that nobody's processes read.
func (o *Opens) Begin() {
	o.mu.Lock()
	root := o.wds[o.root] // none when it is gone
	o.mu.Unlock()
	if len(root) > 0 {
		if f, err := os.Open(root[0]); err == nil {
			f.Close() // if that is not heard, nothing is
		}
	}
	o.now()
	o.mu.Lock()
	o.begun = true
	o.mu.Unlock()
}

// Take returns the files that were opened while a door was ajar, and the
// folders, with a slash at their ends. It is not whole when more may have been.
func (o *Opens) Take() (paths []string, whole bool) {
	o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for p := range o.opened {
		paths = append(paths, p)
	}
	for d := range o.bytes {
		sources, err := filepath.Glob(filepath.Join(escape(d), "*.py"))
		o.lost = o.lost || err != nil
		paths = append(paths, sources...)
	}
	return paths, !o.lost && o.proved
}

var escape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace

// Close ends it. The kernel lets go 20 ms later, and wait returns then; a
// process that ends waits by itself.
func (o *Opens) Close() (wait func()) {
	os.RemoveAll(o.dir)
	o.ended.Go(func() { o.file.Close() })
	return o.ended.Wait
}

// watch adds a watch. It must be nobody else's turn.
func (o *Opens) watch(path string, mask uint32) (int32, error) {
	var wd int
	var err error
	if e := o.conn.Control(func(fd uintptr) { wd, err = unix.InotifyAddWatch(int(fd), path, mask|unix.IN_MASK_ADD) }); e != nil {
		return 0, e
	}
	if err == nil {
		o.wds[int32(wd)] = append(o.wds[int32(wd)], path)
	}
	return int32(wd), err
}

// now takes in all that has happened.
func (o *Opens) now() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn.Control(func(fd uintptr) { o.drain(int(fd)) }) != nil {
		o.lost = true
	}
}

func (o *Opens) drain(fd int) {
	var buf [1 << 16]byte
	for {
		n, err := unix.Read(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < unix.SizeofInotifyEvent {
			o.lost = o.lost || err != unix.EAGAIN
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			wd, mask := int32(binary.NativeEndian.Uint32(buf[at:])), binary.NativeEndian.Uint32(buf[at+4:])
			size := int(binary.NativeEndian.Uint32(buf[at+12:]))
			at += unix.SizeofInotifyEvent
			name := strings.TrimRight(string(buf[at:at+size]), "\x00")
			at += size
			o.event(fd, wd, mask, name)
		}
	}
}

func (o *Opens) event(fd int, wd int32, mask uint32, name string) {
	switch {
	case mask&(unix.IN_Q_OVERFLOW|unix.IN_UNMOUNT|unix.IN_MOVE_SELF) != 0:
		o.lost = true
	case mask&unix.IN_IGNORED != 0: // it is gone, and may come again
		for _, p := range o.wds[wd] {
			o.lost = o.lost || filepath.Base(p) != compiled && !o.aside[p]
		}
		delete(o.wds, wd)
	case wd == o.doors:
		if number, began := strings.CutPrefix(name, Began); began {
			o.ajar[number] = true
		} else if number, ended := strings.CutPrefix(name, Ended); ended {
			delete(o.ajar, number)
		}
	case mask&unix.IN_CREATE != 0:
		if mask&unix.IN_ISDIR != 0 && name == compiled {
			for _, d := range o.wds[wd] {
				if late, err := unix.InotifyAddWatch(fd, filepath.Join(d, compiled), unix.IN_OPEN|unix.IN_MASK_ADD); err == nil {
					o.wds[int32(late)] = append(o.wds[int32(late)], filepath.Join(d, compiled))
				}
				if o.begun {
					o.bytes[d] = true // what was opened there before is not known
				}
			}
		}
	case mask&unix.IN_ISDIR != 0:
		o.proved = o.proved || wd == o.root
		if len(o.ajar) > 0 && name == "" {
			for _, d := range o.wds[wd] {
				if filepath.Base(d) != compiled {
					o.opened[d+"/"] = true
				}
			}
		}
	case mask&unix.IN_OPEN != 0 && len(o.ajar) > 0:
		for _, d := range o.wds[wd] {
			o.opened[source(filepath.Join(d, name))] = true
		}
	}
}

// source is what a compiled module was compiled from; any other path as it is.
func source(p string) string {
	stem, is := strings.CutSuffix(p, ".pyc")
	if !is {
		return p
	}
	dir, name := filepath.Split(stem)
	if d := filepath.Clean(dir); filepath.Base(d) == compiled {
		name, _, _ = strings.Cut(name, ".")
		dir = filepath.Dir(d)
	}
	return filepath.Join(dir, name) + ".py"
}
