package kin

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Set marks a process of this user. What it has started before is not marked.
// It fails where the hard limit of file locks is lower than marks are.
func Set(pid int, m Mark) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &limit); err != nil {
		return fmt.Errorf("reading a limit of process %d: %w", pid, err)
	}
	limit.Cur = uint64(m)
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, &limit, nil); err != nil {
		return fmt.Errorf("setting a limit of process %d: %w", pid, err)
	}
	return nil
}

// Find lists the processes with a mark that have not ended. 128 processes take
// 0.1 ms.
func Find(m Mark, w Width) (found []Member) {
	if m == 0 {
		return nil
	}
	dir, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	var buf [32 << 10]byte
	var names []string
	for {
		n, err := unix.ReadDirent(dir, buf[:])
		if err != nil || n <= 0 {
			return found
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if name[0] < '0' || name[0] > '9' {
				continue
			}
			pid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if own, ok := mark(pid); ok && own.in(m, w) && running(pid) {
				found = append(found, Member{pid, own})
			}
		}
	}
}

// mark is a process's. Another user's is not told: that was not started by this
// one's tests, or through a program that changes users.
func mark(pid int) (m Mark, ok bool) {
	var limit unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &limit)
	return Mark(limit.Cur), err == nil
}

func (m Mark) in(of Mark, w Width) bool { return (m^of)&^Mark(w) == 0 }

// running reports whether a process has not ended: one that has, and that
// nobody has asked for its status, is there too. Its first thread may have ended
// and others not: its files and ports are open until the last one has.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(b, ')')
	if err != nil || i < 0 {
		return false
	}
	const state, threads = 0, 17 // behind the name; proc_pid_stat(5) counts from it as 3
	fields := bytes.Fields(b[i+1:])
	return len(fields) > threads && (fields[state][0] != 'Z' && fields[state][0] != 'X' || string(fields[threads]) > "1")
}

// Kill ends a process, if it is the one that was found.
func (p Member) Kill() {
	if own, ok := mark(p.PID); ok && own == p.Mark {
		_ = unix.Kill(p.PID, unix.SIGKILL)
	}
}

// Runs reports whether the process that was found has not ended.
func (p Member) Runs() bool {
	own, ok := mark(p.PID)
	return ok && own == p.Mark && running(p.PID)
}

// End ends all with a mark, and returns when there is none; false when some are
// left after the time, which wait in the kernel or fork faster than they can be
// ended.
func End(m Mark, w Width, patience time.Duration) bool {
	for began := time.Now(); ; {
		found := Find(m, w)
		if len(found) == 0 {
			return true
		}
		if time.Since(began) > patience {
			return false
		}
		for _, p := range found {
			p.Kill()
		}
		time.Sleep(time.Millisecond / 2) // nobody but their parents is told of their end
	}
}

// Describe says what a process is.
func Describe(pid int) Process {
	p := Process{PID: pid}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(b) > 0 {
		p.Command = strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for kv := range strings.SplitSeq(string(b), "\x00") {
		if v, ok := strings.CutPrefix(kv, "PYTEST_CURRENT_TEST="); ok {
			p.Test = v
			if i := strings.LastIndex(v, " ("); i > 0 && strings.HasSuffix(v, ")") { // the phase
				p.Test = v[:i]
			}
		}
	}
	return p
}
