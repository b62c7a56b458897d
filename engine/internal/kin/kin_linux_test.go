package kin

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stray starts a shell, marks it, and has it start a process of another session
// without descriptors of the shell's but one; it returns its pid and what ends
// when nobody holds that one.
func stray(t testing.TB, m Mark) (pid int, ended *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	cmd := exec.Command("sh", "-c", `read go; PYTEST_CURRENT_TEST="test_a.py::test_b[x (1)] (call)" setsid sh -c 'echo $$ >&3; exec sleep 1000' & exit 0`)
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := Set(cmd.Process.Pid, m); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	ended = bufio.NewReader(r)
	line, err := ended.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return pid, ended
}

func found(m Mark, w Width, pid int) bool {
	return slices.ContainsFunc(Find(m, w), func(p Member) bool { return p.PID == pid })
}

func TestFind(t *testing.T) {
	family := New()
	m := family.Session(3).Worker(7)
	pid, ended := stray(t, m)
	for _, c := range []struct {
		m    Mark
		w    Width
		want bool
	}{
		{m, Worker, true}, {family.Session(3), Session, true}, {family, Family, true},
		{family.Session(3).Worker(8), Worker, false}, {family.Session(2), Session, false}, {New(), Family, false}, {0, Family, false},
	} {
		if got := found(c.m, c.w, pid); got != c.want {
			t.Errorf("mark %x, width %x: found %v, want %v", c.m, c.w, got, c.want)
		}
	}
	p := Describe(pid)
	if len(p.Command) == 0 || p.Test != "test_a.py::test_b[x (1)]" {
		t.Errorf("it is %+v", p)
	}
	if !End(family.Session(2), Session, time.Minute) || !found(m, Worker, pid) {
		t.Error("a process of another mark was ended")
	}
	if !End(m, Worker, time.Minute) {
		t.Error("it does not end")
	}
	if _, err := io.Copy(io.Discard, ended); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkFind(b *testing.B) {
	m := New()
	for b.Loop() {
		Find(m, Family)
	}
}

// TestEndOfThreads takes a process for running whose first thread has ended
// and another has not.
func TestEndOfThreads(t *testing.T) {
	code := fmt.Sprintf("import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); ctypes.CDLL(None).syscall(%d, 0)", syscall.SYS_EXIT)
	cmd := exec.Command("python3", "-c", code)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for status := ""; !strings.Contains(status, "(zombie)"); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		status = string(b)
	}
	if !running(cmd.Process.Pid) {
		t.Error("a process with a thread is taken to have ended")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); running(cmd.Process.Pid); {
		if time.Since(began) > time.Minute {
			t.Fatal("a process without a thread is taken for running")
		}
	}
	_ = cmd.Wait()
}
