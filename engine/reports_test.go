package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// write makes a project of files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// covered is a project that is covered in part: at import, by the conftest, by
// tests of several files, and in a process that a test starts.
func covered() map[string]string {
	files := map[string]string{
		"pytest.ini":      "[pytest]\n",
		"conftest.py":     "import app.early\n",
		"app/__init__.py": "", "app/early.py": "def used(): return 1\nA = used()\ndef unused():\n    return 2\n",
		"app/never.py": "X = 1\ndef f(): return 2\n",
	}
	for _, n := range []string{"a", "b", "c"} {
		files["app/"+n+".py"] = "def f(x):\n    if x == 1:\n        return 'one'\n    elif x == 2:\n        return 'two'\n    elif x == 3:\n        return '" + n + "'\n    return 'many'\n"
		files["tests/test_"+n+".py"] = "from app." + n + " import f\ndef test_1(): assert f(1) == 'one'\ndef test_2(): assert f(2) == 'two'\ndef test_3(): assert f(3) == '" + n + "'\n"
	}
	return files
}

// TestCoverageOfWorkers compares what pytest-cov says of several workers with
// what it says of plain pytest.
func TestCoverageOfWorkers(t *testing.T) {
	for name, python := range enginetest.Reports(t) {
		for _, more := range [][]string{{}, {"--cov-fail-under=99", "--cov-context=test"}} {
			t.Run(name+strings.Join(more, ""), func(t *testing.T) {
				args := append([]string{"-q", "-p", "no:cacheprovider", "--cov=app", "--cov-branch", "--cov-report=term-missing", "--cov-report=xml"}, more...)
				dir := write(t, covered())
				want, wantStatus := plain(t, python, dir, args...)
				wantData := lines(t, python, dir)
				wantXML := read(t, dir, "coverage.xml")
				for _, n := range []int{1, 2, 3} {
					dir := write(t, covered())
					r, out := requestOf(t, python, dir, args...)
					r.Workers = n
					res, status := runTests(t, r)
					if status != wantStatus || len(res.order) != 9 || res.started.Workers != n {
						t.Errorf("%d workers (%s), status %d, %d results; want %d, status %d", res.started.Workers, res.started.Reason, status, len(res.order), n, wantStatus)
					}
					if diff := cmp.Diff(strings.Split(normal(want), "\n"), strings.Split(normal(out.String()), "\n")); diff != "" {
						t.Errorf("%d workers: pytest (-), here (+):\n%s", n, diff)
					}
					if got := lines(t, python, dir); got != wantData {
						t.Errorf("%d workers: data\n%s\nwant\n%s", n, got, wantData)
					}
					if diff := cmp.Diff(wantXML, read(t, dir, "coverage.xml")); diff != "" {
						t.Errorf("%d workers: coverage.xml\n%s", n, diff)
					}
					left, _ := filepath.Glob(filepath.Join(dir, ".coverage?*"))
					if len(left) > 0 {
						t.Errorf("%d workers left %v", n, left)
					}
				}
			})
		}
	}
}

// TestCoverageNamesContexts keeps all on one worker where pytest-cov would
// refuse several.
func TestCoverageNamesContexts(t *testing.T) {
	for name, python := range enginetest.Reports(t) {
		files := covered()
		files[".coveragerc"] = "[run]\ndynamic_context = test_function\n"
		r, out := requestOf(t, python, write(t, files), "--cov=app", "-p", "no:cacheprovider")
		r.Workers = 2
		res, status := runTests(t, r)
		if status != 0 || len(res.order) != 9 || res.started.Reason != "one worker: coverage's dynamic_context is test_function" {
			t.Errorf("%s: status %d, %d results, %q", name, status, len(res.order), res.started.Reason)
		}
		if s := out.String(); !strings.Contains(s, "\nTOTAL ") {
			t.Errorf("%s: no coverage in\n%s", name, s)
		}
	}
}

// lines is what a coverage data file holds, by file and context.
func lines(t *testing.T, python, dir string) string {
	t.Helper()
	return script(t, python, dir, "-c", `
import coverage, os
d = coverage.CoverageData(); d.read()
for f in sorted(d.measured_files()):
    print(os.path.relpath(f), sorted(d.lines(f)), sorted(d.arcs(f) or ()), sorted((k, sorted(v)) for k, v in d.contexts_by_lineno(f).items()))
`)
}

// script runs a program of the project's interpreter.
func script(t *testing.T, python, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(python, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// read is a file's text without the project's folder and times.
func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`timestamp="\d+"`).ReplaceAllString(strings.ReplaceAll(string(b), dir, "DIR"), "")
}

// TestReportsOfWorkers compares the files that reporting plugins write with
// several workers with those of plain pytest.
func TestReportsOfWorkers(t *testing.T) {
	for name, python := range enginetest.Reports(t) {
		t.Run(name, func(t *testing.T) {
			args := []string{"-q", "-p", "no:cacheprovider", "--html=html", "--json-report", "--json-report-file=json", "--report-log=log", "--alluredir=allure"}
			dir := project(t, "reports")
			_, wantStatus := plain(t, python, dir, args...)
			for _, n := range []int{1, 2} {
				other := project(t, "reports")
				r, out := requestOf(t, python, other, args...)
				r.Workers = n
				res, status := runTests(t, r)
				if status != wantStatus || res.started.Workers != n || len(res.order) != 32 {
					t.Fatalf("%d workers (%s), status %d, %d results:\n%s", res.started.Workers, res.started.Reason, status, len(res.order), out.String())
				}
				for _, kind := range []string{"html", "json", "log", "allure"} {
					want := script(t, python, dir, "shown.py", kind, kind)
					got := script(t, python, other, "shown.py", kind, kind)
					if diff := cmp.Diff(strings.Split(folderOut(want, dir), "\n"), strings.Split(folderOut(got, other), "\n")); diff != "" {
						t.Errorf("%d workers: %s of pytest (-), here (+):\n%s", n, kind, diff)
					}
				}
			}
		})
	}
}

// folderOut takes a project's folder out of a text, and its name alone, which
// pytest has among keywords.
func folderOut(text, dir string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, dir, "DIR"), `"`+filepath.Base(dir)+`"`, `"DIR"`)
}
