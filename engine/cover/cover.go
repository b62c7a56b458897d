// Package cover holds which lines of a project a run has covered, and which
// tests did.
package cover

import (
	"maps"
	"slices"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/run"
)

// Span is a first and a last line, from 1.
type Span [2]int

// Report is a sink: what a run covers. A statement counts as its first line.
type Report struct {
	mu    sync.Mutex
	files map[string]*File
	ran   map[string]bool // tests
}

// File is one of the project.
type File struct {
	Statements []Span           // that can be run, in order
	Outside    []int            // that ran outside of tests: while files were imported
	By         map[string][]int // that a test ran, by its id
}

// New makes an empty Report.
func New() *Report { return &Report{files: map[string]*File{}, ran: map[string]bool{}} }

// Event takes what a run says of covered lines.
func (r *Report) Event(e run.Event) {
	c := e.Covered
	if c == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.ID != "" {
		r.ran[c.ID] = true
	}
	for path, lines := range c.Lines {
		f := r.file(path)
		if c.ID == "" {
			f.Outside = lines
		} else {
			f.By[c.ID] = lines
		}
	}
	for path, spans := range c.Files {
		f := r.file(path)
		for _, s := range spans {
			f.Statements = append(f.Statements, s)
		}
	}
}

func (r *Report) file(path string) *File {
	f := r.files[path]
	if f == nil {
		f = &File{By: map[string][]int{}}
		r.files[path] = f
	}
	return f
}

// Files are the files of which something ran, relative to the root, sorted.
func (r *Report) Files() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.files))
}

// File is one of Files. It must not be changed; the run has ended.
func (r *Report) File(path string) *File {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[path]
}

// Tests are those that a file's statements were run by, sorted.
func (f *File) Tests() []string { return slices.Sorted(maps.Keys(f.By)) }

// Split says which lines of the file ran and which did not: by any test or
// outside of all, or by those tests only that are asked for. Lines that follow
// each other are one Span.
func (f *File) Split(tests ...string) (covered, missed []Span) {
	hit := map[int]bool{}
	add := func(lines []int) {
		for _, n := range lines {
			hit[n] = true
		}
	}
	if len(tests) == 0 {
		add(f.Outside)
		tests = f.Tests()
	}
	for _, t := range tests {
		add(f.By[t])
	}
	for _, s := range f.Statements {
		if hit[s[0]] {
			covered = join(covered, s)
		} else {
			missed = join(missed, s)
		}
	}
	return covered, missed
}

func join(to []Span, s Span) []Span {
	if n := len(to); n > 0 && to[n-1][1]+1 >= s[0] {
		to[n-1][1] = max(to[n-1][1], s[1])
		return to
	}
	return append(to, s)
}

// statement is the first line of the one that a line is of; ok where there is
// one.
func statement(all []Span, line int) (first int, ok bool) {
	for _, s := range all {
		if s[0] <= line && line <= s[1] {
			return s[0], true
		}
	}
	return 0, false
}
