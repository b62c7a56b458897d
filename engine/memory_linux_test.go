package engine_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// withoutMemfd has this process, and all that it starts, be told that there is
// no memfd_create, as a sandbox may.
func withoutMemfd() error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MEMFD_CREATE, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if err != 0 {
		return err
	}
	return nil
}

// TestHelperMemory is an engine in a mount namespace of its own. DX_HELPER_SHM
// is /dev/shm's size, or "ro"; DX_HELPER_TMP is that of a TMPDIR, if not "".
func TestHelperMemory(t *testing.T) {
	dir := os.Getenv("DX_HELPER_SHM_DIR")
	if dir == "" {
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	small := func(at, size string) {
		flags := uintptr(0)
		if size == "ro" {
			flags, size = unix.MS_RDONLY, "4k"
		}
		if err := unix.Mount("none", at, "tmpfs", flags, "size="+size); err != nil {
			t.Fatal(err)
		}
		if size == "4k" && flags == 0 {
			if err := os.WriteFile(at+"/full", make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	small("/dev/shm", os.Getenv("DX_HELPER_SHM"))
	r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
	r.Texts = false
	if size := os.Getenv("DX_HELPER_TMP"); size != "" {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		small(tmp, size)
	}
	if os.Getenv("DX_HELPER_MEMFD") == "no" {
		if err := withoutMemfd(); err != nil {
			t.Fatal(err)
		}
	}
	e := &engine.Engine{}
	defer e.Close()
	for _, workers := range []int{1, 2, 1} {
		r.Workers = workers
		res := &results{tests: map[string]*pytest.Result{}}
		status, err := e.Run(context.Background(), r, res)
		fmt.Println("RAN", status, len(res.order), err)
	}
	_ = out.String()
}

// TestSharedMemory runs where /dev/shm is small, full or not to be written,
// with and without memfd: tests run, though one prints more than there is, or
// it is said what to do.
func TestSharedMemory(t *testing.T) {
	enginetest.Python(t, "9.2.0") // not in the namespace, where it may find no room
	const much = "import os\ndef test_much():\n    for _ in range(80):\n        os.write(1, b'x' * (1 << 20))\ndef test_after(): pass\n"
	for _, c := range []struct{ memfd, shm, tmp, want string }{
		{"yes", "64m", "", "RAN 0 2 <nil>"},
		{"yes", "4k", "", "RAN 0 2 <nil>"},
		{"yes", "ro", "", "RAN 0 2 <nil>"},
		{"no", "64m", "", "RAN 0 2 <nil>"},
		{"no", "4k", "", "RAN 0 2 <nil>"},
		{"no", "ro", "", "RAN 0 2 <nil>"},
		{"no", "4k", "4k", "make room in one of these folders, or set TMPDIR to one that has some"},
	} {
		t.Run(fmt.Sprint(c.memfd, c.shm, c.tmp), func(t *testing.T) {
			dir, tmp := files(t, map[string]string{"test_a.py": much}), t.TempDir()
			cmd := exec.Command(os.Args[0], "-test.run", "^TestHelperMemory$")
			cmd.Env = append(os.Environ(), "DX_HELPER_SHM_DIR="+dir, "DX_HELPER_SHM="+c.shm, "DX_HELPER_TMP="+c.tmp, "DX_HELPER_MEMFD="+c.memfd, "TMPDIR="+tmp)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			if os.Getuid() != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
			}
			b, err := cmd.CombinedOutput()
			if cmd.Process == nil {
				t.Logf("this system lets nobody have a mount namespace, so nothing can be mounted: %v", err)
				return
			}
			text := string(b)
			if n := strings.Count(text, c.want); n != 3 || c.tmp == "" && err != nil {
				t.Errorf("%q is said %d times, %v, in\n%s", c.want, n, err, text)
			}
			if left, _ := filepath.Glob(filepath.Join(tmp, "dx-py-*")); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}
