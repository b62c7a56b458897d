package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// living measures runs in one engine, as the language server makes them.
func (b *bench) living(g *group) error {
	g.Runs = b.runs
	for _, workers := range []string{"1", "2"} {
		rows, err := b.livingEngine(workers)
		if err != nil {
			return err
		}
		g.Rows = append(g.Rows, rows...)
	}
	return nil
}

// livingEngine makes runs a tenth of a second apart; all tests are executed
// each time, by the worker's own count.
func (b *bench) livingEngine(workers string) ([]row, error) {
	dir, err := b.small("living")
	if err != nil {
		return nil, err
	}
	p, err := b.peer("pytest")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.binary, "test", "--repeat-stdin", "--format", "jsonl", "-n", workers)
	cmd.Dir, cmd.Env = dir, b.environment(contender{venv: p.venv})
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
	for i := range b.runs + 2 { // the first two make the session
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
	one := func(name string, values []float64) row {
		r := row{Name: name, Tests: tests, Counted: tests}
		r.spread(values)
		return r
	}
	rows := []row{one("living engine, "+workers+" workers", ms)}
	if workers == "1" {
		rows = []row{one("living engine, 1 worker", ms), one("living engine, µs in a worker a test", us)}
	}
	return rows, nil
}
