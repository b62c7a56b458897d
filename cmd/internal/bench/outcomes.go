package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// judged is what conformance/outcomes says, as far as it is shown.
type judged struct {
	Missing   []string       `json:"missing"`
	Extra     []string       `json:"extra"`
	Different []string       `json:"different"`
	OK        bool           `json:"ok"`
	Results   map[string]int `json:"results"`
	Seconds   float64        `json:"pytest_seconds"`
}

// outcomes runs a suite with the binary, with one worker a number of times,
// then with several, and has the conformance tool judge each run.
func (s suite) outcomes(shared, dir, binary string, times int) (bool, error) {
	verdicts, ok := []string{}, true
	tests, plain, ours := 0, 0.0, 0.0
	var wrong []string
	run := func(workers int) error {
		v, took, err := s.runAndJudge(shared, dir, binary, workers)
		if err != nil {
			return err
		}
		word := "equal"
		if !v.OK {
			ok = false
			word = fmt.Sprintf("%d missing, %d extra, %d different", len(v.Missing), len(v.Extra), len(v.Different))
			for _, list := range [][]string{v.Missing, v.Extra, v.Different} {
				wrong = append(wrong, list[:min(5, len(list))]...)
			}
		}
		verdicts = append(verdicts, word)
		if tests == 0 {
			ours = took.Seconds()
			for _, n := range v.Results {
				tests += n
			}
		}
		plain = v.Seconds
		return nil
	}
	for range times {
		if err := run(1); err != nil {
			return false, err
		}
	}
	for _, workers := range []int{2, 4} {
		if err := run(workers); err != nil {
			return false, err
		}
	}
	fmt.Printf("%-16s %7d %9.1f %8.1f  %s\n", s.Name, tests, plain, ours, strings.Join(verdicts, ", "))
	for _, w := range wrong {
		fmt.Println("    ", w)
	}
	return ok, nil
}

func (s suite) runAndJudge(shared, dir, binary string, workers int) (v judged, took time.Duration, err error) {
	args := []string{"--cli", "test", "--no-daemon", "--format", "jsonl", "--python", s.Python, "--state-dir", filepath.Join(dir, s.Name, "state"), "-n", strconv.Itoa(workers)}
	cmd := exec.Command(binary, append(args, s.Args...)...)
	cmd.Dir = s.Src
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	out, err := cmd.Output()
	took = time.Since(began)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return v, took, fmt.Errorf("test: %w\n%s", err, stderr.Bytes())
	}
	var keep bytes.Buffer
	for _, line := range bytes.Split(out, []byte("\n")) {
		if bytes.HasPrefix(line, []byte(`{"event":"test",`)) {
			keep.Write(append(line, '\n'))
		}
	}
	results := filepath.Join(dir, s.Name, "results.jsonl")
	if err := os.WriteFile(results, keep.Bytes(), 0o644); err != nil {
		return v, took, err
	}
	flaky := filepath.Join(dir, s.Name, "not-judged.txt")
	if err := os.WriteFile(flaky, []byte(strings.Join(s.Flaky, "\n")), 0o644); err != nil {
		return v, took, err
	}
	judge := exec.Command(filepath.Join(shared, "conformance", "outcomes"), s.Src, "--python", s.Python, "--results", results,
		"--baseline", filepath.Join(dir, s.Name, "outcomes.json"), "--flaky", flaky, "--json")
	if len(s.Args) > 0 {
		judge.Args = append(append(judge.Args, "--pytest-args"), s.Args...)
	}
	report, err := judge.Output()
	if e := json.Unmarshal(report, &v); e != nil {
		return v, took, fmt.Errorf("conformance/outcomes: %v: %v: %s", err, e, report)
	}
	return v, took, nil
}
