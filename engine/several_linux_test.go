package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// withVariable counts the processes that have a variable in their environment.
func withVariable(kv string) (n int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			if env, _ := os.ReadFile("/proc/" + e.Name() + "/environ"); bytes.Contains(env, []byte(kv+"\x00")) {
				n++
			}
		}
	}
	return n
}

// TestSessionsAreBounded makes runs of more command lines, then of more
// environments, than are kept: the last ones' sessions are.
func TestSessionsAreBounded(t *testing.T) {
	w := &warm{t, t.TempDir()}
	w.write("pytest.ini", "[pytest]\n")
	w.write("test_a.py", "def test_a(): assert 0\n")
	r, _ := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider")
	mine := "DX_MINE=" + w.dir
	r.Vars = append(r.Vars, mine)
	e := &engine.Engine{}
	defer e.Close()
	fail := func(r engine.Request) {
		t.Helper()
		r.Stdout, r.Stderr = nil, nil
		res := &results{tests: map[string]*pytest.Result{}}
		if status, err := e.Run(context.Background(), r, res); status != 1 || err != nil {
			t.Fatalf("status %d, %v", status, err)
		}
	}
	fail(r) // its files are as young as it
	for _, more := range []func(i int) engine.Request{
		func(i int) engine.Request {
			r := r
			r.Args = append(r.Args[:len(r.Args):len(r.Args)], "--tb=short", "--maxfail="+strconv.Itoa(i+2))
			return r
		},
		func(i int) engine.Request {
			r := r
			r.Vars = append(r.Vars[:len(r.Vars):len(r.Vars)], "OTHER="+strconv.Itoa(i))
			return r
		},
	} {
		for i := range 7 {
			fail(more(i))
		}
		// Sessions with a spare each, interpreters, and the two stages between.
		const most = 4*2 + 4 + 2*4
		for began := time.Now(); withVariable(mine) > most; time.Sleep(time.Millisecond) { // what ends beside has no event
			if time.Since(began) > 10*time.Second {
				t.Fatalf("%d processes, want at most %d", withVariable(mine), most)
			}
		}
	}
	e.Close()
	if n := withVariable(mine); n != 0 {
		t.Errorf("%d processes after Close", n)
	}
}

// TestRunsAtTheSameTime has runs of one engine wait for each other: of one
// session's settings, and of several.
func TestRunsAtTheSameTime(t *testing.T) {
	w := &warm{t, t.TempDir()}
	w.write("pytest.ini", "[pytest]\n")
	w.write("test_a.py", `
import os, time
def test_meet():
    here = os.environ["HERE"]
    open(os.path.join(here, str(os.getpid())), "w").close()
    began = time.monotonic()
    while len(os.listdir(here)) < 4:
        assert time.monotonic() - began < 60, "nobody came"
        time.sleep(0.001)
`)
	e := &engine.Engine{}
	defer e.Close()
	for round := range 3 {
		here := filepath.Join(t.TempDir(), "here")
		if err := os.Mkdir(here, 0o700); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		for i := range 4 {
			r, _ := request(t, "9.2.0", w.dir, "-p", "no:cacheprovider", "--maxfail="+strconv.Itoa(1+i%2))
			r.Stdout, r.Stderr, r.Vars = nil, nil, append(r.Vars, "HERE="+here)
			go func() {
				status, err := e.Run(context.Background(), r)
				if status != 0 && err == nil {
					err = fmt.Errorf("exit status %d", status)
				}
				done <- err
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
}
