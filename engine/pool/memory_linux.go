package pool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/ring"
)

// memory returns shared memory of a size, as a file that only descriptors
// name.
func memory(name string, size int) (*os.File, error) {
	f, err := memfd(name, size)
	if err == nil {
		return f, nil
	}
	// A sandbox may have none. What grows is not for /dev/shm, which is 64 MB in
	// a container.
	folders := []string{"/dev/shm", os.TempDir()}
	if size == 0 {
		slices.Reverse(folders)
	}
	f, e := unnamed(size, folders...)
	if e != nil {
		return nil, fmt.Errorf("making %d bytes of shared memory for a worker: %w; %w; make room in one of these folders, or set TMPDIR to one that has some", size, err, e)
	}
	return f, nil
}

func memfd(name string, size int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(int64(size)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unnamed returns a file of a size, without a name, in the first of some
// folders that has room.
func unnamed(size int, folders ...string) (f *os.File, err error) {
	for _, dir := range folders {
		f, e := unnamedIn(dir, size)
		if e == nil {
			return f, nil
		}
		if err == nil {
			err = e
		} else {
			err = fmt.Errorf("%w; %w", err, e)
		}
	}
	return nil, err
}

func unnamedIn(dir string, size int) (*os.File, error) {
	f, err := os.CreateTemp(dir, "dx-py-")
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil && size > 0 {
		_, err = f.WriteAt(make([]byte, size), 0) // a page for which there is no room is met as SIGBUS later
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return f, nil
}

// SharedMemory says what there is of it, and an error where there is none.
func SharedMemory() (string, error) {
	f, err := memfd("dx-try", ring.Size)
	if err == nil {
		f.Close()
		return "memfd", nil
	}
	if f, err = memory("dx-try", ring.Size); err != nil {
		return "", err
	}
	defer f.Close()
	return "files in " + filepath.Dir(f.Name()), nil
}
