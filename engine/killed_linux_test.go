package engine_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dx-py/dx-py-ls/engine"
)

// hanging is a test that tells its pid through a fifo, and keeps it open, in a
// process that no signal but SIGKILL ends; so does a program that it has
// started in another session, and that has nothing else of its.
const hanging = `
import os, signal, subprocess
def test_hang():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    fifo = open(os.environ["FIFO"], "w")
    subprocess.Popen(["sleep", "1005"], start_new_session=True, pass_fds=[fifo.fileno()], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(os.getpid(), file=fifo, flush=True)
    while True:
        pass
`

// TestHelperRun is the engine that TestEngineKilled kills.
func TestHelperRun(t *testing.T) {
	dir := os.Getenv("DX_HELPER_DIR")
	if dir == "" {
		return
	}
	e := cold
	if os.Getenv("DX_HELPER_WARM") != "" {
		e = &engine.Engine{}
		defer e.Close()
	}
	r, _ := request(t, "9.2.0", dir)
	r.Vars = append(r.Vars, "FIFO="+os.Getenv("FIFO"))
	_, _ = e.Run(context.Background(), r)
}

// TestEngineKilled kills the engine while a test spins with all signals
// blocked: its processes end with it.
func TestEngineKilled(t *testing.T) {
	for _, mode := range []string{"", "warm"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "test_a.py"), []byte(hanging), 0o600); err != nil {
			t.Fatal(err)
		}
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHelperRun$")
		cmd.Env = append(os.Environ(), "DX_HELPER_DIR="+dir, "FIFO="+fifo, "DX_HELPER_WARM="+mode)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(fifo)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(f)
		pid, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if _, err := io.Copy(io.Discard, in); err != nil { // until nobody holds the fifo
			t.Fatal(err)
		}
		f.Close()
		if _, err := os.Stat("/proc/" + strings.TrimSpace(pid) + "/exe"); err == nil {
			t.Errorf("process %s is alive after the engine was killed", strings.TrimSpace(pid))
		}
	}
}
