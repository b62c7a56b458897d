// Package inherited tells what a process gets from its parent beside its
// environment, working directory and files, and hands on to its own children.
package inherited

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// limits are the resource limits by number, as in getrlimit(2).
var limits = [...]string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"}

// Read describes this process, one property a line; two processes with the
// same description hand the same on. It changes the umask for a moment, so
// call it before anything else makes files.
func Read() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "umask %04o\n", umask())
	for i, name := range limits {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(i, &l); err != nil {
			return "", fmt.Errorf("reading the limit %s: %w", name, err)
		}
		if i == syscall.RLIMIT_NOFILE {
			// Go has raised its own, and takes that back in its children.
			soft, ok := nofile()
			if !ok {
				return "", fmt.Errorf("this build cannot tell the limit of open files")
			}
			l.Cur = soft
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, l.Cur, l.Max)
	}
	nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return "", fmt.Errorf("reading the priority: %w", err)
	}
	var cpus [1024 / 64]uint64
	if _, _, err := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(cpus), uintptr(unsafe.Pointer(&cpus))); err != 0 {
		return "", fmt.Errorf("reading the processors: %w", err)
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return "", fmt.Errorf("reading the groups: %w", err)
	}
	mounts, _ := os.Readlink("/proc/self/ns/mnt") // absent without /proc: the same for all then
	fmt.Fprintf(&b, "priority %d\nprocessors %x\nuser %d %d\ngroup %d %d %v\nmounts %s\n",
		nice, cpus, syscall.Getuid(), syscall.Geteuid(), syscall.Getgid(), syscall.Getegid(), groups, mounts)
	return b.String(), nil
}

// asking is held while the umask is asked for.
var asking sync.Mutex

// umask is asked for by setting another: two that ask at once would see each
// other's.
func umask() int {
	asking.Lock()
	defer asking.Unlock()
	was := syscall.Umask(0o077)
	syscall.Umask(was)
	return was
}

// Without is a description without a property.
func Without(description, name string) string {
	lines := strings.Split(description, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" ") }), "\n")
}

// Differ names the first property in which two descriptions differ, "" for
// none.
func Differ(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			name, _, _ := strings.Cut(x[i], " ")
			return name
		}
	}
	return ""
}
