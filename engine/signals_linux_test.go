package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// logged are tests that write down that they ran. Some have children of their
// own, that ignore signals.
const logged = `
import os, subprocess, sys, time, pytest

@pytest.fixture(scope="module")
def resource():
    yield

@pytest.mark.parametrize("n", range(15))
def test_a(n, resource):
    fd = os.open("ran", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, ("%s[%d]\n" % (os.path.basename(__file__), n)).encode())
    os.close(fd)
    if n % 7 == 3:
        subprocess.run(["sh", "-c", "trap '' INT TERM HUP; sleep 0.02"], start_new_session=n == 10)
    time.sleep(0.002)
`

// descendants are the processes below this one, without itself.
func descendants(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	parents := map[int]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if parents[pid], err = strconv.Atoi(fields[1]); err != nil {
			t.Fatal(err)
		}
	}
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == os.Getpid() {
				pids = append(pids, pid)
				break
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// strike sends a signal at one moment of a run.
type strike struct {
	t      *testing.T
	rand   *rand.Rand
	behind int // after so many results; 0 at the start
	seen   int
	signal syscall.Signal
	target int
}

func (s *strike) Event(e run.Event) {
	if e.Test != nil {
		s.seen++
	}
	if s.target == 0 && (e.Started != nil || e.Test != nil) && s.seen >= s.behind {
		if pids := descendants(s.t); len(pids) > 0 {
			s.target = pids[s.rand.IntN(len(pids))]
			_ = syscall.Kill(s.target, s.signal) // it may have ended by itself
		}
	}
}

// number is an environment variable's, or the default.
func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestRandomSignals sends a signal to one of the processes at some moment of a
// run: the run ends, no test runs or is told twice, nothing is left, and where
// nobody was interrupted and nothing that all need has ended each has a result.
// DX_ROUNDS says how often, DX_SEED repeats.
func TestRandomSignals(t *testing.T) {
	rounds, seed := number(t, "DX_ROUNDS", 40), number(t, "DX_SEED", time.Now().UnixNano())
	t.Logf("DX_SEED=%d", seed)
	warm := &engine.Engine{}
	for round := range rounds {
		random := rand.New(rand.NewPCG(uint64(seed), uint64(round)))
		dir := files(t, map[string]string{"test_a.py": logged, "test_b.py": logged})
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		r.Workers = 1 + random.IntN(2)
		e := warm
		if random.IntN(8) == 0 {
			e = cold
		}
		s := &strike{
			t: t, rand: random, behind: random.IntN(30),
			signal: []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL}[random.IntN(4)],
		}
		res := &results{tests: map[string]*pytest.Result{}}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		status, err := e.Run(ctx, r, res, s)
		what := fmt.Sprintf("round %d, seed %d: %v to process %d behind %d results, %d workers: status %d, %v, %d not run, problems %q",
			round, seed, s.signal, s.target, s.behind, r.Workers, status, err, res.ended.NotRun, res.problems)
		if ctx.Err() != nil {
			t.Errorf("%s: it did not end", what)
		}
		cancel()
		text := out.String()
		if len(res.order) != len(res.tests) {
			t.Errorf("%s: %d results of %d tests", what, len(res.order), len(res.tests))
		}
		if len(res.tests)+res.ended.NotRun != 30 {
			t.Errorf("%s: %d results", what, len(res.tests))
		}
		if err == nil && s.signal != syscall.SIGINT && res.ended.NotRun > 0 {
			t.Errorf("%s: not all ran\n%s", what, text)
		}
		if status == 0 && (res.ended.NotRun > 0 || err != nil) {
			t.Errorf("%s: nothing is said", what)
		}
		b, _ := os.ReadFile(filepath.Join(dir, "ran")) // none may have run
		ran := strings.Fields(string(b))
		slices.Sort(ran)
		if again := len(ran) - len(slices.Compact(slices.Clone(ran))); again > 0 {
			t.Errorf("%s: %d tests ran twice", what, again)
		}
		for id, x := range res.tests {
			if x.Outcome == pytest.Passed && !slices.Contains(ran, strings.Replace(id, "::test_a", "", 1)) {
				t.Errorf("%s: %s passed and did not run", what, id)
			}
		}
		if e == cold {
			continue
		}
		if random.IntN(10) == 0 {
			warm.Close()
			if left := children(t); len(left) > 0 {
				t.Errorf("%s: processes %v are left", what, left)
			}
		}
	}
	warm.Close()
	if left := descendants(t); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// TestKilledBetween kills a process that waits, just before a run: the run does
// without.
func TestKilledBetween(t *testing.T) {
	e := &engine.Engine{}
	defer e.Close()
	dir := files(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	for k := range 12 {
		if pids := descendants(t); len(pids) > 0 {
			_ = syscall.Kill(pids[k%len(pids)], syscall.SIGKILL)
		}
		r, out := request(t, "9.2.0", dir, "-p", "no:cacheprovider")
		res := &results{tests: map[string]*pytest.Result{}}
		if status, err := e.Run(context.Background(), r, res); status != 0 || err != nil || len(res.tests) != 1 {
			t.Errorf("run %d: status %d, %v, printed %s", k, status, err, out)
		}
	}
}
