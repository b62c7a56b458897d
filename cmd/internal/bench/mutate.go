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
	"time"
)

//go:embed mutate_edits.py
var mutateEdits string

// mutating is what -mutate is told.
type mutating struct {
	shared, dir, binary string
	seed                string
	n                   int // mutations of each suite
	only                int // the one to make, from 1; 0 for all
	quick               bool
	narrow              bool // audit first, so that what is due is found by functions
	bodies              bool // edit bodies of functions only
}

// mutation is one edit of a project.
type mutation struct {
	Kind  string             `json:"kind"`
	What  string             `json:"what"`
	Files map[string]*string `json:"files"` // by path relative to the root; nil deletes the file
}

// mutated is what was found on one suite.
type mutated struct {
	name            string
	tests           int
	mutations       int
	changed         int       // mutations that changed an outcome
	misses          int       // mutations of which a test was missed
	order           int       // mutations that change outcomes only by which tests run before
	wrong           int       // other exit statuses than pytest's, and crashes
	shares, closure []float64 // selected tests of all, and those by imports as they happened, where an edit was of a module
	sameShares      []float64 // the selected ones of the same mutations as closure
}

// mutate makes mutations of the suites and looks whether --affected runs each
// test whose outcome changes.
func mutate(m mutating, names []string) error {
	get := filepath.Join(m.shared, "suites", "get-suites")
	install := exec.Command(get, append([]string{m.dir}, names...)...)
	install.Stdout, install.Stderr = os.Stdout, os.Stderr
	if err := install.Run(); err != nil {
		return fmt.Errorf("get-suites: %w", err)
	}
	list, err := exec.Command(get, append([]string{m.dir, "--json"}, names...)...).Output()
	if err != nil {
		return fmt.Errorf("get-suites --json: %w", err)
	}
	var all []*mutated
	lines := bufio.NewScanner(bytes.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s suite
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return err
		}
		if !s.Run {
			continue
		}
		found, err := m.suite(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		all = append(all, found)
	}
	return tellMutated(all)
}

// suite makes the mutations of one suite. Its src is mutated in place, since
// the editable install leads there, and is made as it was afterwards.
func (m mutating) suite(s suite) (*mutated, error) {
	began := time.Now()
	subject, err := newSubject(s, m.binary, filepath.Join(m.dir, s.Name), m.narrow)
	if err != nil {
		return nil, err
	}
	defer subject.restore()
	found := &mutated{name: s.Name, tests: len(subject.clean)}
	args := []string{"-c", mutateEdits, s.Src, m.seed, fmt.Sprint(max(m.n, m.only))}
	if m.bodies {
		args = append(args, "bodies")
	}
	edits := exec.Command(s.Python, args...)
	edits.Stderr = os.Stderr
	out, err := edits.Output()
	if err != nil {
		return nil, fmt.Errorf("choosing mutations: %w", err)
	}
	fmt.Printf("\n%s: %d tests, %d not judged, made ready in %.0f s\n", s.Name, len(subject.clean), len(subject.flaky), time.Since(began).Seconds())
	for _, line := range subject.audit {
		fmt.Println("  " + line)
	}
	if subject.idle > 0 {
		found.wrong++
		fmt.Printf("  WRONG: %d tests run with nothing changed\n", subject.idle)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		if m.only > 0 && i+1 != m.only {
			continue
		}
		var edit mutation
		if err := json.Unmarshal(line, &edit); err != nil {
			return nil, err
		}
		v, err := subject.judge(edit, i+1, m.quick)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", edit.What, err)
		}
		found.add(v)
		word := "same"
		if v.endless {
			word = "hangs"
		}
		if v.changed > 0 {
			word = fmt.Sprintf("%d changed", v.changed)
		}
		if v.skipped {
			word = "all run"
		}
		if v.order > 0 {
			word += fmt.Sprintf(", %d only behind others or by chance", v.order)
		}
		if v.closure >= 0 {
			word = fmt.Sprintf("%.1f%% by imports, %s", 100*v.closure, word)
		}
		fmt.Printf("  %3d %-13s %5.1f%% selected, %s, %.1f s: %s\n", i+1, edit.Kind, 100*v.share, word, v.took.Seconds(), strings.ReplaceAll(edit.What, "\n", " "))
		for _, w := range slices.Concat(v.missed[:min(5, len(v.missed))], v.wrong) {
			fmt.Println("      " + w)
		}
		if len(v.missed)+len(v.wrong) > 0 {
			fmt.Printf("      again: NAMES=%s SEED=%s ONLY=%d%s make mutate\n", s.Name, m.seed, i+1, m.how())
		}
	}
	return found, nil
}

// how are the options of make mutate.
func (m mutating) how() (s string) {
	if m.narrow {
		s += " NARROW=1"
	}
	if m.bodies {
		s += " BODIES=1"
	}
	return s
}

func (f *mutated) add(v verdictOfEdit) {
	if v.endless && len(v.missed) == 0 {
		return // no judgement
	}
	f.mutations++
	if v.changed > 0 {
		f.changed++
	}
	if len(v.missed) > 0 {
		f.misses++
	}
	if len(v.wrong) > 0 {
		f.wrong++
	}
	if v.order > 0 {
		f.order++
	}
	f.shares = append(f.shares, v.share)
	if v.closure >= 0 {
		f.closure = append(f.closure, v.closure)
		f.sameShares = append(f.sameShares, v.share)
	}
}

// tellMutated prints the table; an error when there is a miss.
func tellMutated(all []*mutated) error {
	fmt.Printf("\n%-16s %6s %10s %8s %7s %6s %6s   %s\n", "suite", "tests", "mutations", "changed", "missed", "order", "wrong",
		"selected: mean, median; of edited modules: selected, imports")
	var sum mutated
	for _, f := range all {
		tellRow(f)
		sum.tests += f.tests
		sum.mutations += f.mutations
		sum.changed += f.changed
		sum.misses += f.misses
		sum.order += f.order
		sum.wrong += f.wrong
		sum.shares = append(sum.shares, f.shares...)
		sum.closure = append(sum.closure, f.closure...)
		sum.sameShares = append(sum.sameShares, f.sameShares...)
	}
	sum.name = "all"
	tellRow(&sum)
	if sum.misses+sum.wrong > 0 {
		return errors.New("--affected left out tests whose outcome changed, or ended otherwise than pytest")
	}
	return nil
}

func tellRow(f *mutated) {
	mean := func(xs []float64) float64 {
		sum := 0.0
		for _, x := range xs {
			sum += x
		}
		return 100 * sum / float64(max(1, len(xs)))
	}
	median := 0.0
	if len(f.shares) > 0 {
		median = 100 * slices.Sorted(slices.Values(f.shares))[len(f.shares)/2]
	}
	fmt.Printf("%-16s %6d %10d %8d %7d %6d %6d   %.1f%%, %.1f%%; %.1f%%, %.1f%%\n", f.name, f.tests, f.mutations, f.changed, f.misses, f.order, f.wrong,
		mean(f.shares), median, mean(f.sameShares), mean(f.closure))
}
