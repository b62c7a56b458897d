package cover

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/store"
)

// version changes with the encoding of the records.
const version = 1

// testsKey is where it is kept which files a test has covered.
const testsKey = "\x00tests"

// kept is what is remembered of a file: the statements, and which of them a
// test ran when it last ran in a run with coverage.
type kept struct {
	Digest     string           `json:"digest"` // of the file that ran
	Statements []Span           `json:"statements"`
	By         map[string][]int `json:"by"`
}

// Save adds a report to what is kept in a root's state folder: what the tests
// that ran had covered before is forgotten, and what is known of a file that has
// changed. digest is that of a file that ran, "" where nobody knows: it is not
// kept.
func (r *Report) Save(dir string, digest func(path string) string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := store.Open(dir, "covered", version)
	defer s.Close()
	index := map[string][]string{} // a test's files
	get(s, testsKey, &index)
	touched := map[string]bool{}
	for path := range r.files {
		touched[path] = true
	}
	for id := range r.ran {
		for _, path := range index[id] {
			touched[path] = true
		}
		delete(index, id)
	}
	var add []store.Record
	for path := range touched {
		var old kept
		get(s, path, &old)
		now := kept{Digest: old.Digest, Statements: old.Statements, By: map[string][]int{}}
		f := r.files[path]
		if f != nil {
			now.Digest, now.Statements = digest(path), f.Statements
		}
		if now.Digest == old.Digest {
			for id, lines := range old.By {
				if !r.ran[id] {
					now.By[id] = lines
				}
			}
		}
		if f != nil && now.Digest != "" {
			for id, lines := range f.By {
				now.By[id] = lines
				index[id] = append(index[id], path)
			}
		}
		b, err := json.Marshal(now)
		if err != nil {
			return err
		}
		add = append(add, store.Record{Key: path, Data: b})
	}
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	add = append(add, store.Record{Key: testsKey, Data: b})
	return s.Save(add, func(string) bool { return true })
}

// get decodes a record; what is damaged is unknown.
func get(s *store.File, key string, v any) {
	if r, ok := s.Get(key); ok {
		_ = json.Unmarshal(r.Data, v)
	}
}

// Lines is what is kept of a file.
type Lines struct{ kept kept }

// Load reads what is kept of a file with a digest; nil when nothing is. edited
// says that another one ran.
func Load(dir, path, digest string) (l *Lines, edited bool) {
	s := store.Open(dir, "covered", version)
	defer s.Close()
	l = &Lines{}
	get(s, path, &l.kept)
	switch {
	case len(l.kept.Statements) == 0:
		return nil, false
	case l.kept.Digest != digest:
		return nil, true
	}
	return l, false
}

// Tests are those of which it is known that they run a line, sorted; known says
// that the line is of a statement. nil knows nothing.
func (l *Lines) Tests(line int) (tests []string, known bool) {
	if l == nil {
		return nil, false
	}
	first, ok := statement(l.kept.Statements, line)
	if !ok {
		return nil, false
	}
	for id, lines := range l.kept.By {
		if slices.Contains(lines, first) {
			tests = append(tests, id)
		}
	}
	slices.Sort(tests)
	return tests, true
}

// Covering is Load and Tests.
func Covering(dir, path, digest string, line int) (tests []string, known, edited bool) {
	l, edited := Load(dir, path, digest)
	tests, known = l.Tests(line)
	return tests, known, edited
}

// Ran is what tests have run of a file, when they last ran with coverage.
type Ran struct {
	Path, Digest string // of the file that ran
	Lines        []Span // statements, in order
	Others       []int  // how many other tests have run each
}

// Index reads which files each test has run, by the test's id; it may be large.
func Index(dir string) map[string][]string {
	s := store.Open(dir, "covered", version)
	defer s.Close()
	index := map[string][]string{}
	get(s, testsKey, &index)
	return index
}

// Of reads what is kept of tests in a root's state folder, by file.
func Of(dir string, of func(id string) bool) (out []Ran) {
	s := store.Open(dir, "covered", version)
	defer s.Close()
	index := map[string][]string{}
	get(s, testsKey, &index)
	files := map[string]bool{}
	for id, paths := range index {
		if of(id) {
			for _, path := range paths {
				files[path] = true
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var k kept
		get(s, path, &k)
		ours, others := map[int]bool{}, map[int]int{}
		for id, lines := range k.By {
			mine := of(id)
			for _, line := range lines {
				if mine {
					ours[line] = true
				} else {
					others[line]++
				}
			}
		}
		r := Ran{Path: path, Digest: k.Digest}
		for _, statement := range k.Statements {
			if ours[statement[0]] {
				r.Lines, r.Others = append(r.Lines, statement), append(r.Others, others[statement[0]])
			}
		}
		if len(r.Lines) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// Between are the tests of which it is known that they run a statement of
// [from, to], sorted. nil knows nothing.
func (l *Lines) Between(from, to int) (tests []string) {
	if l == nil {
		return nil
	}
	for id, lines := range l.kept.By {
		if slices.ContainsFunc(lines, func(n int) bool { return n >= from && n <= to }) {
			tests = append(tests, id)
		}
	}
	slices.Sort(tests)
	return tests
}
