package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// unsteady is what differs from run to run: times, addresses, counted folders,
// and folders of the test.
var unsteady = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`in \d+\.\d+s( \(\d+:\d+:\d+\))?`), "in Ns"},
	{regexp.MustCompile(`(?m)^(?:\x1b\[\d+m)*=+ (.*) =+(?:\x1b\[0m)*$`), "= $1 ="},
	{regexp.MustCompile(`(?m)^\d+\.\d+s (call|setup|teardown) .*$`), "Ns phase"},
	{regexp.MustCompile(`(?m) \d+(\.\d+)?m?s$`), " Ns"},
	{regexp.MustCompile(`0x[0-9a-f]{6,}`), "0xADDRESS"},
	{regexp.MustCompile(`pytest-of-[^/]+/pytest-\d+`), "pytest-N"},
	{regexp.MustCompile(`Thread-\d+`), "Thread-N"},
	{regexp.MustCompile(`  File "<string>", line 1, in <module>\n`), ""}, // the program that calls pytest
	{regexp.MustCompile(`(time|timestamp)="[^"]*"`), `$1=""`},
}

// plainly is a shell's beginning of a command line of pytest's own.
const plainly = `"$0" -c 'import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + "/pytest"; import pytest; sys.exit(pytest.main())' "${0%/python}" `

// TestNasty compares everything: what is printed, the exit status, JUnit's
// file, of the projects in testdata/nasty, with every line of pytest arguments
// there, one after another in the same folder. DX_NASTY=all has every line and
// release of pytest, else it is the first line with the newest.
func TestNasty(t *testing.T) {
	archives, self, all := nastyProjects(t)
	for _, version := range []string{"9.2.0", "8.4.2", "7.4.4"} {
		if version != "9.2.0" && !all {
			break
		}
		for _, path := range archives {
			name := strings.TrimSuffix(filepath.Base(path), ".txtar")
			t.Run(version+"/"+name, func(t *testing.T) {
				a, err := txtar.ParseFile(path)
				if err != nil {
					t.Fatal(err)
				}
				python := enginetest.Python(t, version)
				theirs, ours := newNasty(t, a), newNasty(t, a)
				n := 0
				for line := range strings.Lines(string(a.Comment)) {
					kind, args, _ := strings.Cut(strings.TrimSpace(line), ": ")
					if kind != "args" && kind != "args, alone" && kind != "args since 9" || kind == "args since 9" && version[0] != '9' {
						continue
					}
					if n++; n > 1 && !all {
						break
					}
					want := theirs.sh(plainly+args, python, python, "")
					got := ours.sh(`"$0" pytest `+args, self, python, filepath.Join(ours.dir, "../state"))
					if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
						t.Errorf("%s: pytest (-), here (+):\n%.3000s", args, diff)
					}
				}
			})
		}
	}
}

// TestNastyWorkers runs them with two workers, a file on one of them. What of
// the text is not plain pytest's is pytest-xdist's, and what both have is
// there; the order is nobody's. DX_NASTY=all has every line, else it is those
// for workers; what stops or mixes at a moment of its own is for one alone.
func TestNastyWorkers(t *testing.T) {
	archives, self, all := nastyProjects(t)
	for _, version := range []string{"9.2.0", "7.4.4"} {
		if version != "9.2.0" && !all {
			break
		}
		for _, path := range archives {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(string(a.Comment)) {
				kind, args, _ := strings.Cut(strings.TrimSpace(line), ": ")
				if kind == "args, workers" || all && (kind == "args" || kind == "args since 9" && version[0] == '9') {
					lines = append(lines, args)
				}
			}
			if len(lines) == 0 {
				continue
			}
			t.Run(version+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
				python := enginetest.Xdist(t, version)
				one, two, ours := newNasty(t, a), newNasty(t, a), newNasty(t, a)
				for _, args := range lines {
					plain := unordered(one.sh(plainly+args, python, python, ""))
					workers := args + " -n 2 --dist loadfile"
					xdist := unordered(two.sh(plainly+workers, python, python, ""))
					got := unordered(ours.sh(`"$0" pytest `+workers, self, python, filepath.Join(ours.dir, "../state")))
					var diff []string
					for l := range plain {
						if xdist[l] && !got[l] {
							diff = append(diff, "- "+l)
						}
					}
					for l := range got {
						if !plain[l] && !xdist[l] {
							diff = append(diff, "+ "+l)
						}
					}
					if slices.Sort(diff); len(diff) > 0 {
						t.Errorf("%s: pytest (-), here (+):\n%.3000s", workers, strings.Join(diff, "\n"))
					}
				}
			})
		}
	}
}

// ofWorkers are lines that say how far the tests are, and what pytest-xdist
// tells of its workers.
var ofWorkers = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\x1b\[[\d;]*m`), ""},
	{regexp.MustCompile(`^\[gw\d\] \[ *\d+%\] (\w+) (.*?) *$`), "$2 $1"},
	{regexp.MustCompile(` +\[ *\d+%\]$`), ""},
	{regexp.MustCompile(`^(\S+\.\w+ )?[.FEsxXRuGp,]+$|^\S+\.\w+(::\S+)? $`), ""},
	{regexp.MustCompile(`^.* SUB[A-Z]+[\[(].*|^SUB[A-Z]+\(.*\)$`), ""}, // with values of plain pytest's, and reasons
	{regexp.MustCompile(`^(.*collecting \.\.\.|.*collected \d+ |created: |\d workers |plugins: |\[gw\d\] |initialized: |ready: |scheduling tests|bringing up nodes).*`), ""},
}

// unordered are the lines of a text, each once.
func unordered(text string) map[string]bool {
	lines := map[string]bool{}
	for l := range strings.SplitSeq(text, "\n") {
		for _, u := range ofWorkers {
			l = u.what.ReplaceAllString(l, u.by)
		}
		lines[strings.TrimRight(l, " ")] = true
	}
	return lines
}

// nastyProjects are the files of the projects, the program, and whether all is
// asked for.
func nastyProjects(t *testing.T) (archives []string, self string, all bool) {
	t.Helper()
	archives, err := filepath.Glob("../../../testdata/nasty/*.txtar")
	if err != nil || len(archives) < 20 {
		t.Fatal(archives, err)
	}
	self, err = os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return archives, self, os.Getenv("DX_NASTY") == "all"
}

// nasty is a copy of one of the projects.
type nasty struct {
	t   *testing.T
	dir string
}

func newNasty(t *testing.T, a *txtar.Archive) nasty {
	t.Helper()
	n := nasty{t, filepath.Join(t.TempDir(), "project")}
	for _, f := range a.Files {
		p := filepath.Join(n.dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// sh runs a script, and returns all that it leaves to be compared.
func (n nasty) sh(script, program, python, state string) string {
	n.t.Helper()
	h := &home{t: n.t, program: "/bin/sh", dir: n.dir, vars: []string{
		"DX_TEST_PROGRAM=1", "DX_PY_NO_DAEMON=1", "DX_PY_STATE_DIR=" + state, "HOME=" + filepath.Dir(n.dir), "PATH=" + filepath.Dir(python) + ":/usr/bin:/bin",
		"VIRTUAL_ENV=" + filepath.Dir(filepath.Dir(python)), "PYTHONHASHSEED=0", "LANG=C.UTF-8", "COLUMNS=80",
	}}
	r := h.run("-c", script+" 2>&1", program)
	text := fmt.Sprintf("exit status %d\n%s%s", r.status, r.out, r.stderr)
	for _, name := range []string{"out.xml", "d/out.xml"} {
		b, err := os.ReadFile(filepath.Join(n.dir, name))
		if err != nil {
			continue
		}
		text += "\n" + strings.ReplaceAll(string(b), "><", ">\n<")
		if err := os.Remove(filepath.Join(n.dir, name)); err != nil {
			n.t.Fatal(err)
		}
	}
	text = strings.ReplaceAll(text, filepath.Dir(n.dir), "FOLDER")
	for _, u := range unsteady {
		text = u.what.ReplaceAllString(text, u.by)
	}
	return text
}
