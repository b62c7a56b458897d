package main

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const top = "../../.."

// TestReadme finds in README and in the chart what is recorded.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	within, _, _, err := marked(string(text))
	if err != nil {
		t.Fatal(err)
	}
	perf := filepath.Join(top, "testdata", "perf")
	r, err := readRecord(filepath.Join(perf, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		if strings.Contains(within, chartName) {
			t.Error("README shows a chart of nothing")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := readmeTables(r); within != want {
		t.Errorf("README's tables are not those of %s; go run ./cmd/internal/bench -tables writes them\n%s", recordName, want)
	}
	drawn, err := os.ReadFile(filepath.Join(perf, chartName))
	if err != nil || string(drawn) != chart(r) {
		t.Errorf("%s is not that of %s, %v; go run ./cmd/internal/bench -tables draws it", chartName, recordName, err)
	}
	for _, g := range r.Groups {
		for _, row := range g.Rows {
			if strings.ContainsAny(row.Note, "/\\") {
				t.Errorf("%s: %s: a path in %q", g.Name, row.Name, row.Note)
			}
		}
	}
}

// sample is a record with all that a row can be.
var sample = record{Python: "3.13.0", Pytest: "9.2.0", Groups: []group{
	{Name: "run-193", Section: sectionRuns, Title: "193 tests <7 files>", Runs: 3, Rows: []row{
		{Name: resident, MedianMs: 8.04, Tests: 193, Counted: 193, Right: 3, Checked: 3},
		{Name: cold, MedianMs: 204, Tests: 193, Right: 3, Checked: 3},
		{Name: plain, MedianMs: 1243, Tests: 193, Right: 3, Checked: 3},
		{Name: "other", MedianMs: 21034, Tests: 165, Right: 0, Checked: 3},
		{Name: "liar", MedianMs: 5, Tests: 193, Counted: 12, Right: 3, Checked: 3},
		{Name: "absent", Note: "not installed: no such thing"},
	}},
	{Name: "edit-193", Section: sectionEdits, Title: "its file", Rows: []row{
		{Name: atOnce, MedianMs: 20, Tests: 1, Right: 6, Checked: 6}, {Name: citoDaemon, MedianMs: 3, Tests: 1, Right: 4, Checked: 6},
	}},
	{Name: "ids-libtest", Section: sectionIDs, Title: "Lib/test", Rows: []row{{Name: cold, MedianMs: 3, Tests: 36470}}},
	{Name: "suite-click", Section: sectionSuites, Title: "click", Rows: []row{{Name: residentN, MedianMs: 100}, {Name: xdist, MedianMs: 300}}},
	{Name: "suite-flask", Section: sectionSuites, Title: "flask", Rows: []row{{Name: residentN, MedianMs: 100}, {Name: xdist, MedianMs: 80}}},
}}

func TestTables(t *testing.T) {
	text := readmeTables(sample)
	for _, want := range []string{
		"| 193 tests <7 files> | 193 | 8.0 ms (155×) | 204 ms (6.1×) | 1.2 s | 21 s (165 of 193 tests) | 5.0 ms (says 193 tests, runs 12) | not installed: no such thing |\n",
		"| its file | 1 | 20.0 ms | 3.0 ms (wrong in 2 of 6) |\n",
		"| Lib/test |  | 3.0 ms (36,470 tests) |\n",
		"testdata/perf/bench.svg", "Of dx-py's 12 answers 12 were right",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	list := goalTable(goals(sample.Groups))
	for _, want := range []string{
		"| run-193: dx-py, resident, 45 times as fast as pytest | 154.60 | 45 | holds |", "| run-193: dx-py, cold, 1 times as fast as pytest | 6.09 | 1 | holds |",
		"| suite-flask: never slower than 0.9 of pytest -n 2 | 0.80 | 0.9 | missed |", "| median suite: 2 times as fast as pytest -n 2 | 3.00 | 2 | holds |",
		"| edit-193: dx-py, at once, at most 20 | 1.00 | 1 | holds |",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
}

// TestChart draws the slowest of a group over the whole width, the others to
// scale, and what is wrong as such.
func TestChart(t *testing.T) {
	text := chart(sample)
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	for _, want := range []string{`width="480.0"`, `width="78.8"`, "193 tests &lt;7 files&gt;", "3.0 ms, wrong", `class="ours"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestReported reads the numbers of tests that were run off what programs
// print.
func TestReported(t *testing.T) {
	for text, want := range map[string]int{
		"..F\n1 failed, 2 passed, 1 skipped, 3 deselected in 0.12s\n":                 4,
		"== 5 passed, 2 warnings in 1.0s ==\n":                                        5,
		"3 passed in 1s\n3 run · 8 unchanged since they passed\n":                     3,
		"0 run · 193 unchanged since they passed\n":                                   0,
		"no tests ran in 0.01s\n":                                                     0,
		"cito: 193 passed, 0 failed, 0 skipped across 2 chunk(s) (1 failed) in 1.13s": 193,
		"     Summary [   1.141s] 165 tests run: 165 passed, 0 skipped":               165,
		"1 passed, 2 errors in 1s":                                                    3,
		"193\n":                                                                       193,
		"\n193 tests collected in 0.10s\n":                                            193,
		"\ntest_a.py::A::test_b\ntest_a.py::b\n":                                      2,
	} {
		if got := reported(text); got != want {
			t.Errorf("%d, want %d, of\n%s", got, want, text)
		}
	}
}

// TestEdit makes edits that turn a test's outcome and never keep the size.
func TestEdit(t *testing.T) {
	dir := t.TempDir()
	own := "import os\n\n\ndef test_a():\n    pass\n\n\n@os.x\ndef test_b():\n    pass\n"
	path := filepath.Join(dir, "test_a.py")
	if err := write(path, own); err != nil {
		t.Fatal(err)
	}
	e, err := editOf(dir, "test_a.py")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for k := range 40 {
		if err := e.turn(k%2 == 0); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) == size || !strings.HasPrefix(string(text), own[:strings.Index(own, "@")]+"def test_bench_edit") || !strings.HasSuffix(string(text), "\n\n\n@os.x\ndef test_b():\n    pass\n") {
			t.Fatalf("%v\n%s", err, text)
		}
		size = len(text)
		pass, fail := reply{tests: 1}, reply{tests: 1, status: 1, text: strings.Replace("edit N was made", "N", strconv.Itoa(e.n), 1)}
		stale := reply{tests: 1, status: 1, text: "edit 1 was made"}
		if e.right(pass) != (k%2 == 1) || e.right(fail) != (k%2 == 0) || e.right(stale) && e.n != 1 || e.right(reply{}) {
			t.Errorf("edit %d", e.n)
		}
	}
	if err := restore(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != own {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestPlainText(t *testing.T) {
	got := plainText("Could not find a version of x from https://host/simple/ in /home/a:\n none")
	if want := "Could not find a version of x from … in … none"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCounting has each test add a byte, in classes too.
func TestCounting(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	dir := filepath.Join(b.dir, "p")
	if err := write(filepath.Join(dir, "test_a.py"), "def test_a():\n    pass\n\nclass TestB:\n    def test_b(self):\n        pass\n"); err != nil {
		t.Fatal(err)
	}
	to, err := b.counting(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(to, "test_a.py"))
	name := filepath.Join(to, countFile)
	want := "def test_a():\n    with open(\"" + name + "\", 'ab', 0) as counted:\n        counted.write(b'.')\n    pass\n\n" +
		"class TestB:\n    def test_b(self):\n        with open(\"" + name + "\", 'ab', 0) as counted:\n            counted.write(b'.')\n        pass\n"
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestSuiteRight knows that a worker of pytest-xdist's reports a broken file for
// itself, and that flaky tests decide the exit status.
func TestSuiteRight(t *testing.T) {
	s := suite{Passed: 5, Skipped: 1, CollectErrors: []string{"test_a.py"}, CollectSkipped: []string{"test_b.py"}}
	calm, flaky := suite{Passed: 5}, suite{Passed: 4, Failed: 1, Flaky: []string{"test_a"}}
	for _, try := range []struct {
		s    suite
		a    reply
		want bool
	}{
		{s, reply{status: 1, tests: 8}, true}, {s, reply{status: 1, tests: 9}, true}, {s, reply{tests: 8}, false}, {s, reply{status: 1, tests: 7}, false},
		{calm, reply{tests: 5}, true}, {calm, reply{status: 1, tests: 5}, false}, {calm, reply{tests: 6}, false},
		{flaky, reply{tests: 5}, true}, {flaky, reply{status: 1, tests: 5}, true}, {flaky, reply{status: 1, tests: 4}, false},
	} {
		if got := try.s.right(try.a); got != try.want {
			t.Errorf("%+v of %+v: %v", try.a, try.s, got)
		}
	}
}
