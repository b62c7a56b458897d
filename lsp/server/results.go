package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// results are how tests ended when they last ran, with the bytes of the file
// that ran: a result is stale while its file, or the buffer of it, holds
// others.
type results struct {
	mu      sync.Mutex
	changes int64 // how often anything that is told of results has changed
	files   map[string]*fileResults
	running []key
}

// stamp is another number when titles, states or known cases may be others.
func (r *results) stamp() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

type fileResults struct {
	tests   map[string]*known       // by what stands behind the file in the id
	cases   map[string]learnt       // by the function's name
	broken  *broken                 // why the file could not be collected
	now     string                  // digest of the buffer; of the file on disk when it is not open
	reached map[string]*plan.Reason // what a test depends on is not as it was when it ran
	id      file.Identity           // of the file on disk that now was taken from; zero for a buffer
}

// known is the last result of one test.
type known struct {
	*pytest.Result
	folder   *folder
	ran      *source
	frames   []frameLine // of its traceback; nil: not looked for
	restored bool        // from an earlier server's run: no texts are known
}

// state is a project before a run.
type state struct {
	files history.State
	root  string // the rootdir
}

// source is the file that ran.
type source struct {
	settled bool // the digest is known
	sure    bool // and is that of the bytes that ran
	digest  string
	in      *state // nil when that is not known
	text    []byte // kept where a test failed: its lines are looked up in the buffer
}

// learnt are the cases of a function that only a run could tell.
type learnt struct {
	body  file.Digest // of the function's lines
	names []string    // with what stands before them
}

// broken is an error of collection.
type broken struct {
	line    int // 1-based
	message string
	text    string
	ran     *source
}

func (r *results) file(path string) *fileResults {
	if r.files == nil {
		r.files = map[string]*fileResults{}
	}
	f := r.files[path]
	if f == nil {
		f = &fileResults{tests: map[string]*known{}, cases: map[string]learnt{}, reached: map[string]*plan.Reason{}}
		r.files[path] = f
	}
	return f
}

// covers reports whether a test is a part of what a key stands for.
func (k key) covers(path, name string) bool {
	if k.path == path {
		return within(name, k.name)
	}
	_, in := file.Rel(k.path, path)
	return in && k.name == ""
}

// begin notes what is under way.
func (r *results) begin(keys []key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.running = append(r.running, keys...)
}

// collected forgets what a run will tell anew: it has found its tests.
func (r *results) collected(keys []key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	for path, f := range r.files {
		for _, k := range keys {
			if !k.covers(path, k.name) && k.path != path {
				continue
			}
			if k.name == "" || k.path == path {
				f.broken = nil
			}
			for name := range f.tests {
				if k.covers(path, name) {
					delete(f.tests, name)
					delete(f.reached, name)
				}
			}
		}
	}
}

func (r *results) end(keys []key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	for _, k := range keys {
		if i := slices.Index(r.running, k); i >= 0 {
			r.running = slices.Delete(r.running, i, i+1)
		}
	}
}

func (r *results) add(f *folder, path, name string, t *pytest.Result, ran *source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	in := r.file(path)
	in.tests[name] = &known{Result: t, folder: f, ran: ran}
	delete(in.reached, name)
}

// of returns the last result of one test, and whether it is stale.
func (r *results) of(path, name string) (k *known, stale bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[path]
	if f == nil || f.tests[name] == nil {
		return nil, false
	}
	return f.tests[name], f.outdated(name)
}

// any reports whether a result is known of a file.
func (r *results) any(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[path]
	return f != nil && len(f.tests) > 0
}

// because says what made a result stale; "" for the file itself.
func (r *results) because(path, name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.files[path]; f != nil && f.reached[name] != nil {
		return f.reached[name].Text
	}
	return ""
}

// outdated reports whether the result of a test is stale.
func (f *fileResults) outdated(name string) bool {
	return f.reached[name] != nil || f.stale(f.tests[name].ran)
}

func (f *fileResults) stale(ran *source) bool {
	return ran != nil && ran.settled && (!ran.sure || ran.digest != f.now)
}

// settle says which bytes ran.
func (r *results) settle(path string, ran *source, sure bool, text []byte, buffer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	ran.settled, ran.sure, ran.digest = true, sure, history.Digest(text)
	f := r.file(path)
	f.now, f.id = ran.digest, file.Identity{}
	if buffer != nil {
		f.now = history.Digest(buffer)
	} else {
		f.id, _ = file.Stat(path)
	}
}

// turned is a test whose result has become stale, or is good again.
type turned struct {
	*known
	path, name string
}

// content says what a file holds now, and returns the tests whose staleness
// has changed. nil is the file on disk.
func (r *results) content(path string, buffer []byte) []turned {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[path]
	if f == nil || len(f.tests) == 0 && f.broken == nil {
		return nil
	}
	if buffer != nil {
		return r.counted(f.becomes(path, history.Digest(buffer), file.Identity{}))
	}
	id, there := file.Stat(path)
	if there && id == f.id && !id.Racy(time.Now().UnixNano()) {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		text = nil // another digest than any file that ran
	}
	return r.counted(f.becomes(path, history.Digest(text), id))
}

func (r *results) counted(ts []turned) []turned {
	if len(ts) > 0 {
		r.changes++
	}
	return ts
}

func (f *fileResults) becomes(path string, now string, id file.Identity) []turned {
	before := f.now
	f.now, f.id = now, id
	if before == now {
		return nil
	}
	var out []turned
	for name, k := range f.tests {
		if k.ran == nil || !k.ran.settled || !k.ran.sure || f.reached[name] != nil {
			continue
		}
		if was, is := k.ran.digest != before, k.ran.digest != now; was != is {
			out = append(out, turned{k, path, name})
		}
	}
	slices.SortFunc(out, func(a, b turned) int { return a.Index - b.Index })
	return out
}

// paths are the files that have results.
func (r *results) paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for p := range r.files {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// bad are the tests of a folder that failed when they last ran.
func (r *results) bad(under string) []key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []key
	for path, f := range r.files {
		if _, in := file.Rel(under, path); !in {
			continue
		}
		if f.broken != nil {
			out = append(out, key{path, ""})
			continue
		}
		for name, k := range f.tests {
			if k.Outcome.Bad() {
				out = append(out, key{path, name})
			}
		}
	}
	slices.SortFunc(out, func(a, b key) int { return strings.Compare(a.path+a.name, b.path+b.name) })
	return out
}

// within reports whether a test is a part of what a name stands for: itself,
// a case of it, or below it.
func within(test, name string) bool {
	rest, ok := strings.CutPrefix(test, name)
	return ok && (name == "" || rest == "" || rest[0] == '[' || strings.HasPrefix(rest, "::"))
}

// sum is how the tests ended that a name stands for.
type sum struct {
	n, bad  int
	worst   pytest.Outcome
	seconds float64
	stale   bool
}

// titles says in front of lens's titles how the parts of a file ended: the worst
// of their tests and the time of all. All are summed up at once.
func (r *results) titles(path string) func(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := slices.Clone(r.running)
	f := r.files[path]
	sums := map[string]*sum{}
	broken := f != nil && f.broken != nil
	if f != nil {
		for have, t := range f.tests {
			stale := f.outdated(have)
			above(have, func(name string) {
				x := sums[name]
				if x == nil {
					x = &sum{worst: pytest.NotRun}
					sums[name] = x
				}
				x.n++
				x.worst = max(x.worst, t.Outcome)
				x.seconds += t.Seconds()
				x.stale = x.stale || stale
				if t.Outcome == pytest.Failed || t.Outcome == pytest.Error {
					x.bad++
				}
			})
		}
	}
	return func(name string) string {
		for _, k := range running {
			if k.covers(path, name) {
				return "… | "
			}
		}
		if broken {
			return "✗ not collected | "
		}
		return sums[name].title()
	}
}

// above calls f for the names that a test is a part of: the file's, those of
// its classes, its own without and with its case.
func above(test string, f func(name string)) {
	f("")
	bare := pytest.Bare(test)
	for i := 2; i < len(bare); i++ {
		if strings.HasPrefix(bare[i:], "::") {
			f(bare[:i])
		}
	}
	if bare != "" {
		f(bare)
	}
	if test != bare {
		f(test)
	}
}

func (x *sum) title() string {
	if x == nil {
		return ""
	}
	stale := ""
	if x.stale {
		stale = " before the edit"
	}
	switch {
	case x.worst.Bad() && x.n == 1:
		return fmt.Sprintf("✗ %s%s | ", x.worst, stale)
	case x.worst.Bad():
		return fmt.Sprintf("✗ %d of %d failed%s | ", x.bad, x.n, stale)
	case x.n == 1 && x.worst != pytest.Passed:
		return fmt.Sprintf("– %s%s | ", x.worst, stale)
	case x.stale:
		return fmt.Sprintf("– passed%s | ", stale) // no green for bytes that did not run
	}
	return fmt.Sprintf("✓ %s | ", duration(x.seconds))
}

func duration(seconds float64) string {
	switch ms := seconds * 1e3; {
	case ms < 1:
		return "<1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// split takes the id of a result apart, relative to the root that pytest had.
func split(root, id string) (path, name string) {
	rel, name, ok := strings.Cut(id, "::")
	if ok {
		name = "::" + name
	}
	return file.Abs(root, filepath.FromSlash(rel)), name
}

// setBroken notes why a file was not collected.
func (r *results) setBroken(path string, b *broken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	f := r.file(path)
	clear(f.tests)
	f.broken = b
	if f.id == (file.Identity{}) && f.now == "" {
		f.now = b.ran.digest
	}
}

// keepTexts keeps the text of files in which a test failed, where it is still
// that which ran.
func (r *results) keepTexts(paths []string) {
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		d := history.Digest(text)
		r.mu.Lock()
		for _, k := range r.file(p).tests {
			if k.ran != nil && k.ran.digest == d {
				k.ran.text = text
			}
		}
		r.mu.Unlock()
	}
}

// brokenText is why a file was not collected, "" when it was.
func (r *results) brokenText(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.files[path]; f != nil && f.broken != nil {
		return f.broken.message
	}
	return ""
}

// learn notes cases of a function, and reports whether they are new.
func (r *results) learn(path, name string, l learnt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	f := r.file(path)
	old, had := f.cases[name]
	if had && old.body == l.body {
		for _, n := range old.names {
			if !slices.Contains(l.names, n) {
				l.names = append(l.names, n) // a run of one case shows only that
			}
		}
	}
	f.cases[name] = l
	return !had || old.body != l.body || len(old.names) != len(l.names)
}

// casesOf are the cases that runs have shown in a file.
func (r *results) casesOf(path string) map[string]learnt {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.files[path]
	if f == nil {
		return nil
	}
	out := make(map[string]learnt, len(f.cases))
	for k, v := range f.cases {
		out[k] = v
	}
	return out
}
