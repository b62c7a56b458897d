package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// TestNasty compares everything: what is printed, the exit status, JUnit's
// file, of the projects in testdata/nasty, with every line of pytest arguments
// there, one after another in the same folder. DX_NASTY=all has every line and
// release of pytest, else it is the first line with the newest.
func TestNasty(t *testing.T) {
	archives, err := filepath.Glob("../../../testdata/nasty/*.txtar")
	if err != nil || len(archives) < 20 {
		t.Fatal(archives, err)
	}
	all := os.Getenv("DX_NASTY") == "all"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
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
					if kind != "args" && kind != "args since 9" || kind == "args since 9" && version[0] != '9' {
						continue
					}
					if n++; n > 1 && !all {
						break
					}
					const plain = `"$0" -c 'import sys; b = sys.argv.pop(1); sys.path[0] = b; sys.argv[0] = b + "/pytest"; import pytest; sys.exit(pytest.main())' "${0%/python}" `
					want := theirs.sh(plain+args, python, python, "")
					got := ours.sh(`"$0" pytest `+args, self, python, filepath.Join(ours.dir, "../state"))
					if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
						t.Errorf("%s: pytest (-), here (+):\n%.3000s", args, diff)
					}
				}
			})
		}
	}
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
