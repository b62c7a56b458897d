package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// writing is where the results go.
type writing struct {
	out, readme string
	write       bool
}

// record is bench.json.
type record struct {
	Go     string  `json:"go"`
	Python string  `json:"python"`
	Pytest string  `json:"pytest"`
	CPUs   int     `json:"cpus"`
	Groups []group `json:"groups"`
	Goals  []goal  `json:"goals"`
}

const (
	recordName = "bench.json"
	chartName  = "bench.svg"
)

func readRecord(name string) (r record, err error) {
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// all prints what was measured, and writes it in the place of what is recorded
// of the same groups.
func (w writing) all(groups []group, python string) error {
	fmt.Printf("\n%s\n", details(groups, true))
	fmt.Print(goalTable(goals(groups)))
	if !w.write {
		return nil
	}
	name := filepath.Join(w.out, recordName)
	r, err := readRecord(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, g := range groups {
		at := slices.IndexFunc(r.Groups, func(o group) bool { return o.Name == g.Name })
		if at < 0 {
			r.Groups = append(r.Groups, g)
		} else {
			r.Groups[at] = g
		}
	}
	r.Go, r.Python, r.Pytest, r.CPUs = runtime.Version(), python, pytestVersion, runtime.NumCPU()
	r.Goals = goals(r.Groups)
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := write(name, string(text)+"\n"); err != nil {
		return err
	}
	return w.tables()
}

// tables writes the tables and the chart of the record.
func (w writing) tables() error {
	r, err := readRecord(filepath.Join(w.out, recordName))
	if err != nil {
		return err
	}
	if err := write(filepath.Join(w.out, "bench.md"), details(r.Groups, true)+"\n"+goalTable(r.Goals)); err != nil {
		return err
	}
	if err := write(filepath.Join(w.out, chartName), chart(r)); err != nil {
		return err
	}
	text, err := os.ReadFile(w.readme)
	if err != nil {
		return err
	}
	_, before, after, err := marked(string(text))
	if err != nil {
		return err
	}
	return write(w.readme, before+readmeTables(r)+after)
}

// The marks between which README's tables stand.
const (
	beginMark = "<!-- written by make bench -->\n"
	endMark   = "<!-- up to here -->\n"
)

// marked cuts a text at its marks, which stay in what is around them.
func marked(text string) (within, before, after string, err error) {
	before, rest, ok := strings.Cut(text, beginMark)
	within, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("README has no place for the tables: %q and %q are not in it", strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return within, before + beginMark, endMark + after, nil
}

// details are all rows, for those who look closely.
func details(groups []group, head bool) string {
	var b strings.Builder
	if head {
		b.WriteString("| group | command | median ms | min | max | MB | tests | counted | right | runs |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	}
	for _, g := range groups {
		for _, r := range g.Rows {
			if r.Note != "" {
				fmt.Fprintf(&b, "| %s | %s | %s | | | | | | | |\n", g.Name, r.Name, r.Note)
				continue
			}
			counted, right := "", ""
			if r.Counted > 0 {
				counted = fmt.Sprint(r.Counted)
			}
			if r.Checked > 0 {
				right = fmt.Sprintf("%d of %d", r.Right, r.Checked)
			}
			fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f | %.0f | %d | %s | %s | %d |\n", g.Name, r.Name, r.MedianMs, r.MinMs, r.MaxMs, r.MemoryMB, r.Tests, counted, right, g.Runs)
		}
	}
	return b.String()
}

// columns heads the table of a section; the rest of its contenders come behind
// in the order of their first row.
func columns(groups []group) (names []string) {
	for _, g := range groups {
		for _, r := range g.Rows {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
	}
	return names
}

var sectionTexts = map[string][2]string{ // what the first column is, what stands above
	sectionRuns:   {"whole runs", "Whole runs; all tests are executed each time, in the first two rows by a count that the tests themselves keep:"},
	sectionSame:   {"nothing changed", "Runs of what is due, when nothing is:"},
	sectionEdits:  {"what is edited", "One test after an edit that turns its outcome, each time (the command names the test; pytest gets the same):"},
	sectionPeers:  {"other programs", "Other programs on the same tests:"},
	sectionSuites: {"public suite", "Public suites, whole, warm:"},
	sectionIDs:    {"ids", "Listing ids (warm is a second run; cold is without any state):"},
}

// readmeTables are the tables of README.
func readmeTables(r record) string {
	if len(r.Groups) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n![How long it takes, beside the others](testdata/perf/%s)\n", chartName)
	for _, section := range []string{sectionRuns, sectionSame, sectionEdits, sectionPeers, sectionSuites, sectionIDs} {
		var groups []group
		for _, g := range r.Groups {
			if g.Section == section {
				groups = append(groups, g)
			}
		}
		if len(groups) == 0 {
			continue
		}
		names := columns(groups)
		fmt.Fprintf(&b, "\n%s\n\n| %s | tests | %s |\n| --- | ---: |%s\n", sectionTexts[section][1], sectionTexts[section][0], strings.Join(names, " | "), strings.Repeat(" ---: |", len(names)))
		for _, g := range groups {
			fmt.Fprintf(&b, "| %s | %s |", g.Title, g.told())
			for _, name := range names {
				fmt.Fprintf(&b, " %s |", g.cell(name))
			}
			b.WriteString("\n")
		}
	}
	right, checked := 0, 0
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			if strings.HasPrefix(row.Name, "dx-py") {
				right, checked = right+row.Right, checked+row.Checked
			}
		}
	}
	fmt.Fprintf(&b, "\nOf dx-py's %s answers %s were right: the tests that there are, each with the outcome that the edit calls for. [All rows](testdata/perf/bench.md), with spread and numbers of tests. Python %s, pytest %s.\n\n",
		thousands(checked), thousands(right), r.Python, r.Pytest)
	return b.String()
}

// told is the number of tests for a table.
func (g group) told() string {
	if n := g.tests(); n > 0 || g.Section == sectionSame {
		return thousands(n)
	}
	return ""
}

// tests is how many a right run of a group has, 0 when it is not known.
func (g group) tests() int {
	for _, r := range g.Rows {
		if r.Checked > 0 && r.Right == r.Checked {
			return r.Tests
		}
	}
	return 0
}

// cell is what README says of a contender.
func (g group) cell(name string) string {
	at := slices.IndexFunc(g.Rows, func(r row) bool { return r.Name == name })
	if at < 0 {
		return ""
	}
	r := g.Rows[at]
	if r.Note != "" {
		return r.Note
	}
	s := millis(r.MedianMs)
	if strings.HasPrefix(name, "dx-py") {
		s += g.times(r)
	}
	switch all := g.tests(); {
	case r.Counted > 0 && r.Counted != r.Tests:
		s += fmt.Sprintf(" (says %d tests, runs %d)", r.Tests, r.Counted)
	case r.Checked > 0 && r.wrong() && r.Tests != all:
		s += fmt.Sprintf(" (%s of %s tests)", thousands(r.Tests), thousands(all))
	case r.wrong():
		s += fmt.Sprintf(" (wrong in %d of %d)", r.Checked-r.Right, r.Checked)
	case r.Checked == 0 && r.Tests > 0 && g.Section == sectionIDs:
		s += fmt.Sprintf(" (%s tests)", thousands(r.Tests))
	}
	return s
}

// times is how many times as fast as pytest a row is.
func (g group) times(r row) string {
	for _, name := range []string{plain, xdist, "pytest --collect-only"} {
		for _, o := range g.Rows {
			if o.Name == name && o.MedianMs > 0 && r.MedianMs > 0 {
				if x := o.MedianMs / r.MedianMs; x < 10 {
					return fmt.Sprintf(" (%.1f×)", x)
				} else {
					return fmt.Sprintf(" (%.0f×)", x)
				}
			}
		}
	}
	return ""
}

func millis(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0f s", ms/1e3)
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1e3)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
