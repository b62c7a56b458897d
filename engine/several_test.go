package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// TestSeveralWorkers runs everything on several workers: the same outcomes,
// each test once, and one report as pytest prints it, in another order.
func TestSeveralWorkers(t *testing.T) {
	for _, name := range []string{"outcomes", "crashes"} {
		for _, v := range enginetest.Versions {
			t.Run(name+" "+v, func(t *testing.T) {
				dir := project(t, name)
				r, out := request(t, v, dir, "-p", "no:cacheprovider", "-rA")
				want, wantStatus := runTests(t, r)
				for _, n := range []int{2, 4} {
					r, several := request(t, v, dir, "-p", "no:cacheprovider", "-rA")
					r.Workers = n
					got, status := runTests(t, r)
					if status != wantStatus || got.started.Workers != n {
						t.Errorf("exit status %d with %d workers, want %d with %d", status, got.started.Workers, wantStatus, n)
					}
					if len(got.order) != len(want.order) {
						t.Errorf("%d results, want %d", len(got.order), len(want.order))
					}
					// "test_mod2" fails with one worker because of what the module's
					// first test left; so it does under pytest-xdist.
					delete(want.tests, "test_zoo.py::test_mod2")
					delete(got.tests, "test_zoo.py::test_mod2")
					if diff := cmp.Diff(want.outcomes(), got.outcomes()); diff != "" {
						t.Errorf("one worker (-), %d workers (+):\n%s", n, diff)
					}
					if diff := cmp.Diff(summary(out.String()), summary(several.String())); diff != "" {
						t.Errorf("one worker (-), %d workers (+):\n%s", n, diff)
					}
				}
			})
		}
	}
}

// summary is pytest's short test summary, sorted, without what depends on the
// order of the tests, and without what pytest's own serialization of a report
// for other processes loses: a lookup error's message, kwargs of subtests.
func summary(text string) []string {
	_, text, _ = strings.Cut(text, "short test summary info")
	var lines []string
	for _, l := range strings.Split(text, "\n")[1:] {
		if !strings.Contains(l, "test_mod2") && !strings.HasPrefix(l, "=") {
			id, _, _ := strings.Cut(l, " - ")
			lines = append(lines, strings.ReplaceAll(id, "'", ""))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestSubtestsOfOthers tells of tests with subtests that another worker ran:
// the test's own report follows theirs, and counts those that failed.
func TestSubtestsOfOthers(t *testing.T) {
	dir := t.TempDir()
	source := `import unittest
def test_fails(subtests):
    for i in range(4):
        with subtests.test(i=i): assert i % 2
def test_passes(subtests):
    with subtests.test(): pass
class Case(unittest.TestCase):
    def test_case(self):
        for i in range(2):
            with self.subTest(i=i): assert i
`
	for _, name := range []string{"test_a.py", "test_b.py"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := plain(t, enginetest.Python(t, "9.2.0"), dir, "-rA")
	r, out := request(t, "9.2.0", dir, "-rA")
	r.Workers = 2
	res, _ := runTests(t, r)
	if want, got := summary(want), summary(out.String()); !slices.Equal(want, got) {
		t.Errorf("pytest:\n%s\nhere:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	for id, want := range map[string]string{"test_a.py::test_fails": "failed", "test_a.py::test_passes": "passed"} {
		if got := res.outcomes()[id]; got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

// TestStopsAtFirst stops at the first failure: what runs ends, nothing else
// starts, and pytest says so.
func TestStopsAtFirst(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "def test_%d(): assert %d != 7\n", i, i)
	}
	for _, name := range []string{"test_a.py", "test_b.py"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, out := request(t, "9.2.0", dir, "-x")
	r.Workers = 2
	res, status := runTests(t, r)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if res.ended.NotRun < 300 {
		t.Errorf("%d were not run: the workers were not stopped", res.ended.NotRun)
	}
	if s := out.String(); !regexp.MustCompile(`!! stopping after [12] failures !!`).MatchString(s) { // both may be running theirs
		t.Errorf("not said in\n%s", s)
	}
}
