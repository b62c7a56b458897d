package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

const startedLine = "started a resident process"

// home is a user with a project and a resident process of its own.
type home struct {
	t       *testing.T
	program string
	dir     string // the project
	runtime string
	vars    []string
}

func newHome(t *testing.T, files map[string]string) *home {
	t.Helper()
	python := enginetest.Python(t, "9.2.0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	h := &home{t: t, program: self, dir: filepath.Join(root, "project"), runtime: filepath.Join(root, "run")}
	h.vars = []string{
		"DX_TEST_PROGRAM=1", "DX_PY_RUNTIME_DIR=" + h.runtime, "DX_PY_STATE_DIR=" + filepath.Join(root, "state"), "HOME=" + root,
		"PATH=" + filepath.Dir(python) + ":/usr/bin:/bin", "VIRTUAL_ENV=" + filepath.Dir(filepath.Dir(python)),
		"PYTHONDONTWRITEBYTECODE=1", "PYTEST_ADDOPTS=-p no:cacheprovider",
	}
	h.write("pytest.ini", "[pytest]\n")
	for name, text := range files {
		h.write(name, text)
	}
	t.Cleanup(func() {
		h.command("daemon", "stop").Run()
		h.nothingLeft()
	})
	return h
}

func (h *home) write(name, text string) {
	h.t.Helper()
	p := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// command is the program; args may begin with KEY=VALUE for its environment.
func (h *home) command(args ...string) *exec.Cmd {
	vars := h.vars
	for len(args) > 0 && strings.Contains(args[0], "=") {
		vars = append(vars[:len(vars):len(vars)], args[0])
		args = args[1:]
	}
	cmd := exec.Command(h.program, args...)
	cmd.Dir, cmd.Env = h.dir, vars
	if h.runtime != "" {
		cmd.Args[0] = "dx-py" // its call is made early then, as the user's is
	}
	return cmd
}

// ran is what a command did.
type ran struct {
	status      int
	out, stderr string
}

func (h *home) run(args ...string) ran {
	h.t.Helper()
	return h.wait(h.command(args...))
}

func (h *home) wait(cmd *exec.Cmd) ran {
	h.t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

// want fails when a run did not end with the status and print the text.
func (h *home) want(r ran, status int, text string) {
	h.t.Helper()
	if r.status != status || !strings.Contains(r.out, text) {
		h.t.Fatalf("exit status %d, want %d, with %q\n%s\n%s", r.status, status, text, r.out, r.stderr)
	}
}

// pid is the resident process's, 0 for none.
func (h *home) pid() int {
	h.t.Helper()
	r := h.run("daemon", "status")
	var pid int
	if _, err := fmt.Sscanf(r.out, "process %d,", &pid); err != nil && !strings.Contains(r.out, "none runs") {
		h.t.Fatalf("%s%s", r.out, r.stderr)
	}
	return pid
}

// processes are the ids of all that were started for this user.
func (h *home) processes() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if bytes.Contains(env, []byte("DX_PY_RUNTIME_DIR="+h.runtime+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// nothingLeft waits until no process of the user is there.
func (h *home) nothingLeft() {
	h.t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // others' processes have no event
		left := h.processes()
		if len(left) == 0 {
			return
		}
		if time.Since(began) > 10*time.Second {
			h.t.Errorf("processes %v are left", left)
			return
		}
	}
}
