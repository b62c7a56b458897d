package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writesDown are tests that write down that they ran, in the file that a
// variable names which makes no other session. Some have children of their own,
// that ignore signals.
const writesDown = `
import os, subprocess, sys, time, pytest

@pytest.fixture(scope="module")
def resource():
    yield

@pytest.mark.parametrize("n", range(15))
def test_a(n, resource):
    fd = os.open(os.environ["WINDOWID"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, ("%s::test_a[%d]\n" % (os.path.basename(__file__), n)).encode())
    os.close(fd)
    if n % 7 == 3:
        subprocess.run(["sh", "-c", "trap '' INT TERM HUP; sleep 0.02"], start_new_session=n == 10)
    time.sleep(0.002)
`

// struck is what a client printed that was run while a signal was sent.
type struck struct {
	status  int
	tests   map[string]string // outcomes by id
	twice   []string          // ids that were told more than once
	ended   bool
	notRun  int
	problem []string
	stderr  string
	late    bool
}

// strike runs a client, and sends a signal to a process of the user's behind so
// many results: the victim's place among all of them.
func (h *home) strike(rnd *rand.Rand, behind int, wait time.Duration, signal syscall.Signal, args ...string) (s struck, victim, client int) {
	h.t.Helper()
	cmd := h.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	hit := func() {
		if all := h.processes(); victim == 0 && len(all) > 0 {
			victim = all[rnd.IntN(len(all))]
			_ = syscall.Kill(victim, signal) // it may have ended by itself
		}
	}
	if behind == 0 {
		time.Sleep(wait)
		hit()
	}
	s.tests = map[string]string{}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		var said struct {
			Event   string `json:"event"`
			ID      string `json:"id"`
			Outcome string `json:"outcome"`
			NotRun  int    `json:"not_run"`
			Message string `json:"message"`
		}
		if err == nil && json.Unmarshal(line, &said) != nil {
			h.t.Errorf("no line of JSON: %q", line)
		}
		switch {
		case err == io.EOF:
			_ = cmd.Wait()
			s.late = !late.Stop()
			s.status, s.stderr = cmd.ProcessState.ExitCode(), stderr.String()
			return s, victim, cmd.Process.Pid
		case err != nil:
			h.t.Fatal(err)
		case said.Event == "test":
			if s.tests[said.ID] != "" {
				s.twice = append(s.twice, said.ID)
			}
			if s.tests[said.ID] = said.Outcome; len(s.tests) == behind {
				hit()
			}
		case said.Event == "run_ended":
			s.ended, s.notRun = true, said.NotRun
		case said.Event == "problem":
			s.problem = append(s.problem, said.Message)
		}
	}
}

// TestSignalsThroughResident sends a signal to one of the processes at some
// moment of a run that the resident process does, itself and the client among
// them: the run ends, no test runs or is told twice, what is missing is said,
// the next run is whole, and in the end nothing is left. DX_ROUNDS says how
// often, DX_SEED repeats.
func TestSignalsThroughResident(t *testing.T) {
	rounds, rnd := soak(t, 24, 1)
	h := newHome(t, map[string]string{"test_a.py": writesDown, "test_b.py": writesDown})
	var first usage
	for round := range rounds {
		ran := filepath.Join(filepath.Dir(h.dir), fmt.Sprintf("ran-%d", round))
		behind, wait := max(0, rnd.IntN(40)-10), time.Duration(rnd.IntN(120))*time.Millisecond
		signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL}[rnd.IntN(4)]
		workers := 1 + rnd.IntN(2)
		resident := h.pid()
		s, victim, client := h.strike(rnd, behind, wait, signal, "WINDOWID="+ran, "test", "--format", "jsonl", "-n", fmt.Sprint(workers))
		who := fmt.Sprint("process ", victim)
		switch victim {
		case client:
			who = "the client"
		case resident:
			who = "the resident process"
		}
		what := fmt.Sprintf("round %d: %v to %s behind %d results or %v, %d workers: status %d, %d results, %d not run, problems %q, %q",
			round, signal, who, behind, wait, workers, s.status, len(s.tests), s.notRun, s.problem, s.stderr)
		b, _ := os.ReadFile(ran) // none may have run
		wrote := strings.Fields(string(b))
		slices.Sort(wrote)
		if n := len(wrote) - len(slices.Compact(slices.Clone(wrote))); n > 0 || len(s.twice) > 0 {
			t.Errorf("%s: %d tests ran twice, %v were told twice", what, n, s.twice)
		}
		for id, outcome := range s.tests {
			if outcome == "passed" && !slices.Contains(wrote, id) {
				t.Errorf("%s: %s passed and did not run", what, id)
			}
		}
		switch {
		case s.late:
			t.Errorf("%s: it did not end", what)
		case s.ended && len(s.tests)+s.notRun != 30:
			t.Errorf("%s: %d tests", what, len(s.tests)+s.notRun)
		case s.ended && len(wrote) > len(s.tests)+workers:
			t.Errorf("%s: %d ran", what, len(wrote))
		case (s.status == 0 || s.status == 1) && (!s.ended || s.notRun > 0):
			t.Errorf("%s: not all ran", what)
		case s.status == 0 && len(s.tests) != 30:
			t.Errorf("%s: nothing is said", what)
		case s.status > 2 && s.stderr == "" && len(s.problem) == 0:
			t.Errorf("%s: nothing is said of what went wrong", what)
		case s.status < 0 && victim != client:
			t.Errorf("%s: the client ended", what)
		}
		h.want(h.run("WINDOWID="+ran, "test", "-q", "test_b.py::test_a[0]"), 0, "1 passed")
		if rnd.IntN(12) == 0 {
			h.run("daemon", "stop")
			h.nothingLeft()
		}
		if t.Failed() {
			return
		}
		if round == min(20, rounds-1) && h.pid() != 0 {
			first = h.usage()
		}
	}
	if h.run("WINDOWID=/dev/null", "test", "-q", "test_b.py::test_a[0]"); first.memory > 0 {
		h.noMore(first)
	}
}
