package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// edit changes a file before each run so that the outcome of one test turns.
type edit struct {
	path         string
	before, rest string
	text         string // with the number of the edit
	n            int
	test         string // FILE::NAME
	tests        int    // that run
}

// The test that the edits are about, and its kin in a module: an odd edit
// fails, and says which it is.
const (
	editedTest   = "def test_bench_edit():\n    edit = %d\n    assert edit %% 2 == 0, f'edit {edit} was made'\n"
	editedModule = "BENCH_EDIT = %d\n"
	moduleTest   = "def test_bench_edit():\n    edit = bench_edited.BENCH_EDIT\n    assert edit % 2 == 0, f'edit {edit} was made'\n"
)

// editOf prepares a file of tests: one more, in its middle, is what is edited.
func editOf(root, name string) (*edit, error) {
	e := &edit{text: editedTest, test: name + "::test_bench_edit", tests: 1}
	return e, e.open(filepath.Join(root, name))
}

// editOfModule prepares a module, and a file with a test that sees what is
// edited; module is an import statement that names it bench_edited.
func editOfModule(root, name, file, module string) (*edit, error) {
	e := &edit{text: editedModule, test: file + "::test_bench_edit", tests: 1}
	t := &edit{text: module + "\n\n\n" + moduleTest}
	if err := t.open(filepath.Join(root, file)); err != nil {
		return nil, err
	}
	return e, e.open(filepath.Join(root, name))
}

// original is where a file's own text is kept.
const original = ".bench-original"

// open reads the file's own text and finds the middle of it.
func (e *edit) open(path string) error {
	e.path = path
	keep := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+original)
	text, err := os.ReadFile(keep)
	if err != nil {
		if text, err = os.ReadFile(path); err != nil {
			return err
		}
		if err := os.WriteFile(keep, text, 0o644); err != nil {
			return err
		}
	}
	at := middle(string(text))
	e.before, e.rest = string(text[:at]), string(text[at:])
	return e.turn(false)
}

// middle is where, behind half of a module, a definition begins that nothing
// belongs to; else the end.
func middle(text string) int {
	at := 0
	blank := false
	for line := range strings.Lines(text) {
		starts := strings.HasPrefix(line, "def ") || strings.HasPrefix(line, "class ") || strings.HasPrefix(line, "@")
		if starts && blank && 2*at > len(text) {
			return at
		}
		blank = strings.TrimSpace(line) == ""
		at += len(line)
	}
	return len(text)
}

// turn makes the next edit, by which the test fails or passes. It moves what
// is below, and never leaves the size as it was: within a second pytest would
// miss it (README, "How a run may differ").
func (e *edit) turn(fail bool) error {
	if e.n++; fail == (e.n%2 == 0) {
		e.n++
	}
	text := e.text
	if strings.Contains(text, "%d") {
		text = fmt.Sprintf(text, e.n)
	}
	for range e.n % 3 {
		text += "# a line more\n"
	}
	return e.write(text + fmt.Sprintf("# %s\n\n\n", strings.Repeat("x", e.n%5)))
}

func (e *edit) write(text string) error {
	return os.WriteFile(e.path, []byte(e.before+text+e.rest), 0o644)
}

// right reports whether a run's answer is that of the edit.
func (e *edit) right(a reply) bool {
	if a.tests != e.tests {
		return false
	}
	if e.n%2 == 0 {
		return a.status == 0
	}
	// Not every peer prints what failed.
	return a.status == 1 && (strings.Contains(a.text, fmt.Sprintf("edit %d was made", e.n)) || !strings.Contains(a.text, "was made"))
}

// takeBack gives a file its own text again.
func takeBack(kept string) error {
	text, err := os.ReadFile(kept)
	if err == nil {
		base := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(kept), "."), original)
		err = os.WriteFile(filepath.Join(filepath.Dir(kept), base), text, 0o644)
	}
	if err == nil {
		err = os.Remove(kept)
	}
	return err
}
