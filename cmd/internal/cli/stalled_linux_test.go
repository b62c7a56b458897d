package cli_test

import (
	"fmt"
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

// TestDoctorOfResident asks which process runs the tests.
func TestDoctorOfResident(t *testing.T) {
	h := newHome(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(): pass\n"})
	h.want(h.run("CI=", "doctor"), 0, "resident     none runs; the next test run starts one")
	h.want(h.run("CI=true", "doctor"), 0, "resident     off: CI is set")
	h.want(h.run("DX_PY_NO_DAEMON=1", "doctor"), 0, "resident     off: DX_PY_NO_DAEMON is set")
	h.want(h.run("CI=", "test", "-q"), 0, "1 passed")
	h.want(h.run("CI=", "doctor"), 0, fmt.Sprintf("resident     process %d, for ", h.pid()))
	if s := h.run("CI=", "doctor"); !strings.Contains(s.out, ", 1 run (0 now), 0 editors\n") || strings.Contains(s.out, "it has run nothing") {
		t.Errorf("in\n%s", s.out)
	}
	h.write("pytest.ini", "[pytest]\n")
	h.write("pyproject.toml", "[tool.dx-py]\ndaemon = false\n")
	h.want(h.run("CI=", "doctor"), 0, "resident     off: the configuration says so")
	other := t.TempDir()
	if err := os.WriteFile(other+"/test_b.py", []byte("def test_b(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.want(h.run("CI=", "doctor", "--root", other), 0, "it has run nothing of this project")
}
