package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is one command on one project.
type contender struct {
	name   string
	cmd    []string
	env    []string // beside the environment, KEY=VALUE
	before func()   // run before each measurement, outside of it
}

// row is what was measured of one contender.
type row struct {
	Project  string  `json:"project"`
	Name     string  `json:"name"`
	MedianMs float64 `json:"median_ms"`
	MinMs    float64 `json:"min_ms"`
	MaxMs    float64 `json:"max_ms"`
	MemoryMB float64 `json:"peak_memory_mb"`
	Tests    int     `json:"tests"`
	Runs     int     `json:"runs"`
	Note     string  `json:"note,omitempty"`
}

// goal is a ratio between two rows that has to hold.
type goal struct {
	Text   string  `json:"goal"`
	Ratio  float64 `json:"ratio"`
	Wanted float64 `json:"wanted"`
	Holds  bool    `json:"holds"`
}

// turns runs contenders in turns.
func (p project) turns(cs []contender, runs int) ([]row, error) {
	rows := make([]row, len(cs))
	times := make([][]float64, len(cs))
	for i, c := range cs { // once each, not counted
		out, _, _, err := once(c, p.dir)
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", c.name, p.name, err)
		}
		rows[i] = row{Project: p.name, Name: c.name, Tests: count(out), Runs: runs}
	}
	for range runs {
		for i, c := range cs {
			_, ms, mem, err := once(c, p.dir)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], ms)
			rows[i].MemoryMB = max(rows[i].MemoryMB, mem)
		}
	}
	for i := range rows {
		slices.Sort(times[i])
		rows[i].MedianMs, rows[i].MinMs, rows[i].MaxMs = times[i][len(times[i])/2], times[i][0], times[i][len(times[i])-1]
	}
	return rows, nil
}

// once runs a contender and returns its output, milliseconds and megabytes.
func once(c contender, dir string) (out []byte, ms, mb float64, err error) {
	if c.before != nil {
		c.before()
	}
	cmd := exec.Command(c.cmd[0], c.cmd[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), c.env...)
	var buf bytes.Buffer
	cmd.Stdout = &buf
	began := time.Now()
	err = cmd.Run()
	ms = float64(time.Since(began).Microseconds()) / 1e3
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // problems, or for pytest errors, beside the tests
	}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		mb = float64(ru.Maxrss) / 1024
	}
	return buf.Bytes(), ms, mb, err
}

// count reads the number of tests from a listing.
func count(out []byte) int {
	text := strings.TrimSpace(string(out))
	last := text[strings.LastIndexByte(text, '\n')+1:]
	for _, w := range strings.Fields(last) {
		if n, err := strconv.Atoi(w); err == nil {
			return n
		}
	}
	return 0
}

// ratio is a goal between two rows of a project, none when one was not
// measured.
func ratio(rows []row, text, project, ours, theirs string, wanted float64) []goal {
	find := func(name string) float64 {
		for _, r := range rows {
			if r.Project == project && r.Name == name {
				return r.MedianMs
			}
		}
		return 0
	}
	a, b := find(ours), find(theirs)
	if a == 0 || b == 0 {
		return nil
	}
	return []goal{{text, b / a, wanted, b/a >= wanted}}
}

// report prints rows and goals, and writes them as NAME.json and NAME.md.
func report(name string, rows []row, goals []goal, out string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| project | command | median ms | min | max | MB | tests |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		if r.Note != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | | | | |\n", r.Project, r.Name, r.Note)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f | %.0f | %d |\n", r.Project, r.Name, r.MedianMs, r.MinMs, r.MaxMs, r.MemoryMB, r.Tests)
	}
	b.WriteString("\n| goal | ratio | wanted | |\n| --- | ---: | ---: | --- |\n")
	for _, g := range goals {
		verdict := "holds"
		if !g.Holds {
			verdict = "missed"
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.0f | %s |\n", g.Text, g.Ratio, g.Wanted, verdict)
	}
	fmt.Printf("\n%s", b.String())
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	doc, err := json.MarshalIndent(map[string]any{
		"go": runtime.Version(), "cpus": runtime.NumCPU(), "rows": rows, "goals": goals,
	}, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, name+".json"), append(doc, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".md"), []byte(b.String()), 0o644)
}
