package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	small = "193 tests, 7 files"
	many  = "10,000 tests, 10 files"

	residentRow = "dx-py test, resident" // whole processes, the client's
)

// benchRuns measures running tests: whole processes, and runs in a living
// engine.
func benchRuns(p project, binary string, ps peers, dir, out string, runs int) error {
	state := filepath.Join(dir, "state", "runs")
	ours := func(python string, more ...string) []string {
		return append([]string{binary, "--cli", "test", "-q", "--no-daemon", "--python", python, "--state-dir", state}, more...)
	}
	cs := []contender{
		{name: "dx-py test", cmd: ours(ps.python)},
		{name: "pytest", cmd: []string{ps.pytest, "-q"}},
	}
	if ps.cito != "" {
		cs = append(cs, contender{name: "cito run", cmd: []string{ps.cito, "run"}})
	}
	place := []string{"DX_PY_RUNTIME_DIR=" + filepath.Join(dir, "run")}
	resident := ours(ps.python, "--daemon")
	resident = slices.DeleteFunc(resident, func(a string) bool { return a == "--no-daemon" })
	cs = append(cs, contender{name: residentRow, cmd: resident, env: place})
	defer func() {
		_, _, _, _ = once(contender{cmd: []string{binary, "--cli", "daemon", "stop"}, env: place}, p.dir)
	}()
	rows, err := p.turns(cs, runs)
	if err != nil {
		return err
	}
	for _, workers := range []string{"1", "2"} {
		warm, err := p.livingEngine(binary, ps.python, state, workers, max(runs, 11))
		if err != nil {
			return err
		}
		rows = append(rows, warm...)
	}

	large := project{name: many, dir: filepath.Join(dir, "many")}
	if err := makeMany(large.dir); err != nil {
		return err
	}
	xdist, err := withXdist(dir)
	if err != nil {
		return err
	}
	python := filepath.Join(xdist, "bin", "python")
	more, err := large.turns([]contender{
		{name: "dx-py test", cmd: ours(python)},
		{name: "dx-py test -n 2", cmd: ours(python, "-n", "2")},
		{name: "pytest", cmd: []string{filepath.Join(xdist, "bin", "pytest"), "-q"}},
		{name: "pytest -n 2", cmd: []string{filepath.Join(xdist, "bin", "pytest"), "-q", "-n", "2"}},
	}, min(runs, 5))
	if err != nil {
		return err
	}
	rows = append(rows, more...)

	var goals []goal
	goals = append(goals, ratio(rows, "193 tests, cold: faster than pytest", small, "dx-py test", "pytest", 1)...)
	goals = append(goals, ratio(rows, "193 tests, cold: faster than cito run", small, "dx-py test", "cito run", 1)...)
	goals = append(goals, ratio(rows, "10,000 tests, 2 workers: 8 times faster than pytest -n 2", many, "dx-py test -n 2", "pytest -n 2", 8)...)
	goals = append(goals, ratio(rows, "193 tests, resident: 45 times faster than pytest", small, residentRow, "pytest", 45)...)
	for _, r := range rows {
		limits := map[string]float64{"living engine, 1 worker": 14, "living engine, 2 workers": 9, "living engine, µs in a worker a test": 60}
		if wanted := limits[r.Name]; wanted > 0 {
			goals = append(goals, goal{fmt.Sprintf("193 tests, %s: at most %.0f (ratio of wanted to measured)", r.Name, wanted), wanted / r.MedianMs, 1, r.MedianMs <= wanted})
		}
	}
	return report("run", rows, goals, out)
}

// livingEngine measures runs in one engine, a tenth of a second apart; all tests are
// executed each time, by the worker's own count.
func (p project) livingEngine(binary, python, state, workers string, runs int) ([]row, error) {
	cmd := exec.Command(binary, "--cli", "test", "--repeat-stdin", "--format", "jsonl", "-n", workers, "--python", python, "--state-dir", state)
	cmd.Dir = p.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var ms, us []float64
	tests := 0
	lines := bufio.NewScanner(stdout)
	for i := range runs + 2 { // the first two make the session
		time.Sleep(100 * time.Millisecond) // nobody saves faster; what is made beside has the time
		fmt.Fprintln(in)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), `{"event":"run_ended",`) {
		}
		var end struct {
			Seconds float64 `json:"seconds"`
			Ran     int     `json:"ran"`
			CPU     float64 `json:"worker_cpu"`
		}
		if err := json.Unmarshal(lines.Bytes(), &end); err != nil {
			return nil, fmt.Errorf("a run in the living engine: %w", err)
		}
		if tests = end.Ran; i > 1 {
			ms = append(ms, end.Seconds*1e3)
			us = append(us, end.CPU/float64(end.Ran)*1e6)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	name := "living engine, 1 worker"
	if workers != "1" {
		name = "living engine, " + workers + " workers"
	}
	rows := []row{spread(p.name, name, ms, tests)}
	if workers == "1" {
		rows = append(rows, spread(p.name, "living engine, µs in a worker a test", us, tests))
	}
	return rows, nil
}

// spread is a row of measured values.
func spread(project, name string, values []float64, tests int) row {
	slices.Sort(values)
	return row{Project: project, Name: name, MedianMs: values[len(values)/2], MinMs: values[0], MaxMs: values[len(values)-1], Tests: tests, Runs: len(values)}
}

func makeMany(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for f := range 10 {
		var b strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&b, "def test_%d():\n    assert %d == %d\n\n\n", i, i, i)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("test_%d.py", f)), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// withXdist returns a virtual environment that has pytest-xdist, apart from
// the other peers': its hooks are in every run.
func withXdist(dir string) (string, error) {
	venv := filepath.Join(dir, "xdist")
	if _, err := os.Stat(filepath.Join(venv, "bin", "pytest")); err == nil {
		return venv, nil
	}
	if out, err := exec.Command(newestPython(), "-m", "venv", venv).CombinedOutput(); err != nil {
		return "", fmt.Errorf("making a virtual environment: %w\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "-q", "pytest==9.2.0", "pytest-xdist==3.8.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing pytest-xdist: %w\n%s", err, out)
	}
	return venv, nil
}
