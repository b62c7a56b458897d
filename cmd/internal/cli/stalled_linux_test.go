package cli_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStalledReader interrupts a run twice whose output nobody reads any more:
// it ends, and the resident process goes on.
func TestStalledReader(t *testing.T) {
	h := newHome(t, map[string]string{
		"test_a.py": "import pytest\n@pytest.mark.parametrize('n', range(100))\ndef test_a(n):\n    print('x' * 10000)\n    assert 0\n",
		"test_b.py": "def test_b(): pass\n",
	})
	h.want(h.run("test", "-q", "test_b.py"), 0, "1 passed")
	for _, args := range []string{"--daemon -n 2", "--no-daemon -n 2", "--daemon --format jsonl", "--no-daemon --format jsonl"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := h.command(append([]string{"test", "test_a.py"}, strings.Fields(args)...)...)
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		// Of 64 kB, in pages that are not full, and for a while no more: there is no event for that.
		for full, same := 0, 0; full < 32<<10 || same < 100; time.Sleep(time.Millisecond) {
			now, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
			if err != nil {
				t.Fatal(err)
			}
			if same++; now != full {
				full, same = now, 0
			}
		}
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		_ = cmd.Process.Signal(syscall.SIGINT)
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; { // two of a kind that wait are one
			_ = cmd.Process.Signal(syscall.SIGTERM)
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Wait()
		if status := cmd.ProcessState.ExitCode(); !late.Stop() || status != 2 {
			t.Errorf("%s: exit status %d", args, status)
		}
		if s := h.run("daemon", "status"); !strings.Contains(s.out, "(0 now)") {
			// The client's end is told to the resident process a moment before or behind that.
			for began := time.Now(); !strings.Contains(s.out, "(0 now)") && time.Since(began) < time.Minute; s = h.run("daemon", "status") {
				time.Sleep(10 * time.Millisecond)
			}
			h.want(s, 0, "(0 now)")
		}
		r.Close()
		h.want(h.run("test", "-q", "test_b.py"), 0, "1 passed")
	}
}
