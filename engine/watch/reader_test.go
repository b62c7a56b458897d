package watch

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// reader knows of a folder what a Watcher tells, and reads only that.
type reader struct {
	dir    string
	ignore func(string, bool) bool

	mu    sync.Mutex
	state map[string]string // content, or "folder"
	named []string          // paths that were told of, by Change
	bulks int
	told  chan struct{} // one for each batch, as far as there is room
}

func read(path string) (string, bool) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "", false
	case st.IsDir():
		return "folder", true
	case !st.Mode().IsRegular():
		return "", false
	}
	b, err := os.ReadFile(path)
	return "file " + string(b), err == nil
}

// scan reads all that is in a folder.
func scan(dir string, ignore func(string, bool) bool) map[string]string {
	out := map[string]string{}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		s, ok := read(p)
		if ok && ignore(p, s == "folder") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if ok {
			out[p] = s
		}
		return nil
	})
	return out
}

func (r *reader) changed(b Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range b.Changes {
		r.named = append(r.named, c.Path)
		if s, ok := read(c.Path); ok && !r.ignore(c.Path, s == "folder") { // what went may have made room for what nobody wants
			r.state[c.Path] = s
		} else {
			delete(r.state, c.Path)
		}
	}
	if b.Bulk {
		r.bulks++
		r.state = scan(r.dir, r.ignore)
	}
	select {
	case r.told <- struct{}{}:
	default:
	}
}

// paths returns what was told by path since the last time, relative to the
// folder, and forgets it.
func (r *reader) paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, p := range r.named {
		rel, _ := filepath.Rel(r.dir, p)
		out = append(out, rel)
	}
	r.named = nil
	slices.Sort(out)
	return slices.Compact(out)
}

// differs says what is on disk and was not told.
func (r *reader) differs() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	disk := scan(r.dir, r.ignore)
	if maps.Equal(disk, r.state) {
		return ""
	}
	return fmt.Sprintf("on disk %v\ntold %v", disk, r.state)
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func nothing(string, bool) bool { return false }

// start watches a folder until stop is called.
func start(t fataler, dir string, o Options, listen func(*queue) (events, error)) (w *Watcher, r *reader, stop func()) {
	t.Helper()
	state, err := os.MkdirTemp("", "watch-state")
	if err != nil {
		t.Fatal(err)
	}
	if o.Ignore == nil {
		o.Ignore = nothing
	}
	r = &reader{dir: dir, ignore: o.Ignore, told: make(chan struct{}, 1)}
	if o.Roots, o.StateDir = []string{dir}, state; o.Changed == nil {
		o.Changed = r.changed
	}
	if o.Poll == 0 {
		o.Poll = time.Hour // Sync is what makes it look
	}
	r.state = scan(dir, o.Ignore)
	if w, err = open(o, listen); err != nil {
		t.Fatal(err)
	}
	return w, r, func() {
		w.Close()
		if left, _ := os.ReadDir(state); len(left) > 0 {
			t.Fatalf("left in the state folder: %v", left)
		}
		os.RemoveAll(state)
	}
}

func begin(t *testing.T, dir string, o Options) (*Watcher, *reader) {
	w, r, stop := start(t, dir, o, listen)
	t.Cleanup(stop)
	return w, r
}

func sync_(t fataler, w *Watcher) {
	t.Helper()
	if err := w.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func write(t fataler, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check syncs and compares what was told with the disk, and with the paths
// that must be among it.
func check(t *testing.T, w *Watcher, r *reader, want ...string) {
	t.Helper()
	sync_(t, w)
	if d := r.differs(); d != "" {
		t.Fatal(d)
	}
	got := r.paths()
	for _, p := range want {
		if !slices.Contains(got, p) {
			t.Errorf("%s was not told, of %v", p, got)
		}
	}
	// An event that comes behind the sweep that did not wait for it tells again.
	if st := w.Status(); len(want) == 0 && len(got) > 0 && (st.Polling || st.Sweeps == 0) {
		t.Errorf("told of %v", got)
	}
}
