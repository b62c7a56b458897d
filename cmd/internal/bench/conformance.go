package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suite is an entry of suites.toml with its paths.
type suite struct {
	Name   string   `json:"name"`
	Args   []string `json:"args"`
	Src    string   `json:"src"`
	Python string   `json:"venv_python"`
	Run    bool     `json:"run"`
	Flaky  []string `json:"flaky"`

	Passed, Failed, Skipped, Xfailed, Xpassed, Errors int
	CollectErrors                                     []string `json:"collect_errors"`
	CollectSkipped                                    []string `json:"collect_skipped"`
}

// verdict is what conformance/ids says, as far as it is shown.
type verdict struct {
	Truth   int      `json:"truth"`
	Exact   int      `json:"exact-matched"`
	Bare    int      `json:"covered-by-bare"`
	Missing []string `json:"missing"`
	Wrong   []string `json:"wrong-exact"`
	Phantom []string `json:"phantom"`
}

// conditionals is how many phantoms a suite may have: tests behind a condition
// that only running can decide. None has any today.
var conditionals = map[string]int{}

func conformance(shared, dir, binary string, times int, verify bool, names []string) error {
	get := filepath.Join(shared, "suites", "get-suites")
	install := exec.Command(get, append([]string{dir}, names...)...)
	install.Stdout, install.Stderr = os.Stdout, os.Stderr
	if err := install.Run(); err != nil {
		return fmt.Errorf("get-suites: %w", err)
	}
	list, err := exec.Command(get, append([]string{dir, "--json"}, names...)...).Output()
	if err != nil {
		return fmt.Errorf("get-suites --json: %w", err)
	}
	fmt.Printf("\n%-16s %7s %8s %6s %8s %6s %8s %s\n", "suite", "ids", "exact", "bare", "missing", "wrong", "phantom", "order, reasons")
	bad, tests := 0, 0
	var suites []suite
	lines := bufio.NewScanner(bytes.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s suite
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return err
		}
		ok, err := s.compare(shared, dir, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		tests++
		if !ok {
			bad++
		}
		suites = append(suites, s)
	}
	fmt.Printf("\n%-16s %7s %9s %8s  %s\n", "suite", "tests", "pytest, s", "ours, s", "outcomes with 1, 2 and 4 workers")
	for _, s := range suites {
		if !s.Run {
			continue
		}
		ok, err := s.outcomes(shared, dir, binary, times)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		tests++
		if !ok {
			bad++
		}
	}
	if verify {
		fmt.Printf("\n%-16s %7s  %s\n", "suite", "seconds", "verify")
	}
	for _, s := range suites {
		if !verify || !s.Run {
			continue
		}
		ok, err := s.verified(dir, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		tests++
		if !ok {
			bad++
		}
	}
	fmt.Printf("\n%d passed, %d failed\n", tests-bad, bad)
	if bad > 0 {
		return errors.New("ids or outcomes differ from pytest's")
	}
	return nil
}

// compare lists one suite statically and has the conformance tool judge it.
func (s suite) compare(shared, dir, binary string) (bool, error) {
	args := append([]string{
		"--cli", "discover", "--format", "jsonl", "--python", s.Python, "--state-dir", filepath.Join(dir, s.Name, "state"), "--",
	}, s.Args...)
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.Src
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: problems, listed beside the tests
		return false, fmt.Errorf("discover: %w\n%s", err, exit.Stderr)
	}
	found := filepath.Join(dir, s.Name, "found.jsonl")
	ours, reasons, err := tests(out, found)
	if err != nil {
		return false, err
	}
	truth := filepath.Join(dir, s.Name, "truth.json")
	judge := exec.Command(filepath.Join(shared, "conformance", "ids"), s.Src, "--python", s.Python, "--found", found, "--truth", truth, "--json")
	if len(s.Args) > 0 {
		judge.Args = append(append(judge.Args, "--pytest-args"), s.Args...)
	}
	report, err := judge.Output()
	var v verdict
	if e := json.Unmarshal(report, &v); e != nil {
		return false, fmt.Errorf("conformance/ids: %v: %s", err, report)
	}
	literal, err := s.literals(found)
	if err != nil {
		return false, err
	}
	ok := len(v.Missing)+len(v.Wrong) == 0 && len(v.Phantom) <= conditionals[s.Name] && literal == ""
	order, err := sameOrder(truth, ours)
	if err != nil {
		return false, err
	}
	if order == "" {
		order = "ok"
	}
	fmt.Printf("%-16s %7d %7.2f%% %6d %8d %6d %8d %s %s\n", s.Name, v.Truth, 100*float64(v.Exact)/float64(max(1, v.Truth)), v.Bare,
		len(v.Missing), len(v.Wrong), len(v.Phantom), order, reasons)
	for _, list := range [][]string{v.Missing, v.Wrong, v.Phantom[:max(0, len(v.Phantom)-conditionals[s.Name])]} {
		for _, id := range list[:min(5, len(list))] {
			fmt.Println("    ", id)
		}
	}
	if literal != "" {
		fmt.Printf("     listed as computed, yet literal:\n%s", literal)
	}
	return ok, nil
}

//go:embed literals.py
var literalsScript string

// literals asks Python's ast which tests that are listed as computed have only
// literal values.
func (s suite) literals(found string) (string, error) {
	in, err := os.Open(found)
	if err != nil {
		return "", err
	}
	defer in.Close()
	cmd := exec.Command(s.Python, "-c", literalsScript, s.Src)
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	out, err := cmd.Output()
	return string(out), err
}

// tests writes the tests of a listing for the judge, and returns the exact
// ids in order with the counts of the reasons.
func tests(listing []byte, path string) (exact []string, reasons string, err error) {
	var keep bytes.Buffer
	counts := map[string]int{}
	for _, line := range bytes.Split(listing, []byte("\n")) {
		var t struct {
			ID     string
			Exact  bool
			Reason string
		}
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, "", err
		}
		if t.ID == "" {
			continue // a problem
		}
		keep.Write(append(line, '\n'))
		if t.Exact {
			exact = append(exact, t.ID)
		} else {
			counts[t.Reason]++
		}
	}
	var names []string
	for r := range counts {
		names = append(names, r)
	}
	slices.Sort(names)
	for _, r := range names {
		reasons += fmt.Sprintf(" %s:%d", r, counts[r])
	}
	return exact, strings.TrimSpace(reasons), os.WriteFile(path, keep.Bytes(), 0o644)
}

// sameOrder compares the order of the ids that both lists have.
func sameOrder(truthFile string, ours []string) (string, error) {
	b, err := os.ReadFile(truthFile)
	if err != nil {
		return "", err
	}
	var truth struct{ IDs []string }
	if err := json.Unmarshal(b, &truth); err != nil {
		return "", err
	}
	in := func(list []string) map[string]bool {
		m := map[string]bool{}
		for _, x := range list {
			m[x] = true
		}
		return m
	}
	mine, theirs := in(ours), in(truth.IDs)
	a := slices.DeleteFunc(slices.Clone(truth.IDs), func(x string) bool { return !mine[x] })
	b2 := slices.DeleteFunc(slices.Clone(ours), func(x string) bool { return !theirs[x] })
	for i := range min(len(a), len(b2)) {
		if a[i] != b2[i] {
			return fmt.Sprintf("differs at %s", a[i]), nil
		}
	}
	return "", nil
}
