package pool

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// Supported reports whether workers can be forked here.
const Supported = true

// interpreter starts Python with the bootstrap. Its first three descriptors
// are the caller's.
func interpreter(s Settings) (*stage, *exec.Cmd, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	bundle, err := memory("dx-bundle", len(pyworkers.Bundle()))
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer bundle.Close()
	// Its offset is Python's too, so it is written without moving that.
	if _, err := bundle.WriteAt(pyworkers.Bundle(), 0); err != nil {
		ours.Close()
		return nil, nil, err
	}
	// The workers are ended when the write end is closed, by us or by our death.
	alive, hold, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, nil, fmt.Errorf("making the alive pipe: %w", err)
	}
	defer alive.Close()
	cmd := exec.Command(s.Python, "-c", pyworkers.Command, "3", "4", "5", s.compiled(), s.runs())
	cmd.Dir, cmd.Env = s.Dir, s.Env
	if s.Stdin != nil { // a nil *os.File in an interface would be a closed descriptor, not /dev/null
		cmd.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		cmd.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		cmd.Stderr = s.Stderr
	}
	cmd.ExtraFiles = []*os.File{bundle, theirs, alive}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !s.Terminal}
	if err := cmd.Start(); err != nil {
		ours.Close()
		hold.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", s.Python, err)
	}
	return &stage{conn: ours, pid: cmd.Process.Pid, alive: hold}, cmd, nil
}

func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "control")
	defer f.Close()
	theirs := os.NewFile(uintptr(fds[1]), "control of a worker")
	c, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("using a socket pair: %w", err)
	}
	return c.(*net.UnixConn), theirs, nil
}

// channel is a ring's mapping and its two doorbells.
type channel struct {
	file     *os.File
	mem      []byte
	toWorker *os.File // rung by the engine
	toEngine *os.File // rung by the worker
	out, err *os.File // the worker's capture files: what a dead one had captured
}

func newChannel() (*channel, error) {
	f, err := memory("dx-ring", ring.Size)
	if err != nil {
		return nil, err
	}
	c := &channel{file: f}
	if c.mem, err = unix.Mmap(int(f.Fd()), 0, ring.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		c.Close()
		return nil, fmt.Errorf("mapping a ring: %w", err)
	}
	for _, bell := range []**os.File{&c.toWorker, &c.toEngine} {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("making a doorbell: %w", err)
		}
		*bell = os.NewFile(uintptr(fd), "doorbell")
	}
	if c.out, err = memory("dx-stdout", 0); err == nil {
		c.err, err = memory("dx-stderr", 0)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close gives everything back. No frame may be read or written any more.
func (c *channel) Close() {
	if c.mem != nil {
		_ = unix.Munmap(c.mem)
		c.mem = nil
	}
	for _, f := range []*os.File{c.file, c.toWorker, c.toEngine, c.out, c.err} {
		if f != nil {
			f.Close()
		}
	}
}

// describe is what a wait status says of how a process ended.
func describe(status int) (signal string, code int) {
	w := syscall.WaitStatus(status)
	if w.Signaled() {
		return unix.SignalName(w.Signal()), 0
	}
	return "", w.ExitStatus()
}

// waitStatus is the wait status of a process that has ended.
func waitStatus(st *os.ProcessState) int {
	w, _ := st.Sys().(syscall.WaitStatus)
	return int(w)
}

// rights is the ancillary data that carries files over a socket.
func rights(files []*os.File) []byte {
	if len(files) == 0 {
		return nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return unix.UnixRights(fds...)
}

// killGroup ends a process and its group, when it has one of its own.
func killGroup(pid int) {
	_ = unix.Kill(-pid, unix.SIGKILL)
	_ = unix.Kill(pid, unix.SIGKILL)
}

// alive reports whether a process that waits at a stage is there: nothing is
// to be read from its socket, not even its end.
func (p *process) alive() bool {
	if !p.mu.TryLock() {
		return true // it is being asked for something: an answer that waits is no last word
	}
	defer p.mu.Unlock()
	raw, err := p.stage.conn.SyscallConn()
	if err != nil {
		return false
	}
	alive := false
	_ = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		alive = err == unix.EAGAIN
	})
	return alive
}

// exit returns what waits for the end of a process, another's child too, nil
// where the kernel (before 5.10) cannot tell. Its parent must not have asked
// for its status yet.
func exit(pid int) (wait func()) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "process")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil
	}
	return func() {
		defer f.Close()
		_ = raw.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
	}
}
