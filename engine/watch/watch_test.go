package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dx-py/dx-py-ls/engine/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWriteThenSync(t *testing.T) {
	dir := t.TempDir()
	f := filepath.Join(dir, "a.py")
	write(t, f, "")
	w, r := begin(t, dir, Options{})
	slowest := time.Duration(0)
	for i := range 1000 {
		write(t, f, fmt.Sprint(i%7)) // as long as before, and perhaps in the same tick
		began := time.Now()
		sync_(t, w)
		slowest = max(slowest, time.Since(began))
		if got := r.paths(); !slices.Equal(got, []string{"a.py"}) {
			t.Fatalf("edit %d: told of %v", i, got)
		}
		if d := r.differs(); d != "" {
			t.Fatalf("edit %d: %s", i, d)
		}
	}
	t.Logf("slowest Sync %v, %d sweeps", slowest, w.Status().Sweeps)
}

func TestEditors(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, p("a.py"), "1")
	w, r := begin(t, dir, Options{})
	check(t, w, r)

	// vim: the old file becomes a backup, a new one is written
	must(t, os.Rename(p("a.py"), p("a.py~")))
	write(t, p("a.py"), "2")
	must(t, os.Remove(p("a.py~")))
	check(t, w, r, "a.py")
	// most others: a temporary file is renamed over it
	write(t, p(".a.py.tmp"), "3")
	must(t, os.Rename(p(".a.py.tmp"), p("a.py")))
	check(t, w, r, "a.py")
	// the file that came by rename is followed
	write(t, p("a.py"), "4")
	check(t, w, r, "a.py")
	must(t, os.Chmod(p("a.py"), 0o600))
	check(t, w, r, "a.py")
	must(t, os.Remove(p("a.py")))
	check(t, w, r, "a.py")
	// nothing
	if _, err := os.ReadFile(p(".")); err == nil {
		t.Fatal("a folder was read as a file")
	}
	check(t, w, r)
}

func TestFolders(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	w, r := begin(t, dir, Options{})

	write(t, p("a/b/c/x.py"), "1")
	check(t, w, r, "a", "a/b", "a/b/c", "a/b/c/x.py")
	write(t, p("a/b/c/x.py"), "2")
	check(t, w, r, "a/b/c/x.py")

	must(t, os.Rename(p("a/b"), p("moved")))
	check(t, w, r, "a/b/c/x.py", "moved/c/x.py")
	write(t, p("moved/c/x.py"), "3") // under the new name, though the kernel's watch is the old one
	check(t, w, r, "moved/c/x.py")

	// moved away, changed there, and back in another place
	must(t, os.Rename(p("moved"), filepath.Join(other, "m")))
	check(t, w, r, "moved/c/x.py")
	write(t, filepath.Join(other, "m/c/x.py"), "4")
	check(t, w, r)
	must(t, os.Rename(filepath.Join(other, "m"), p("a/back")))
	check(t, w, r, "a/back", "a/back/c/x.py")
	write(t, p("a/back/c/y.py"), "5")
	check(t, w, r, "a/back/c/y.py")

	// replaced by a folder of the same name, which may even get the same inode
	must(t, os.RemoveAll(p("a/back")))
	write(t, p("a/back/z.py"), "6")
	check(t, w, r, "a/back/c/x.py", "a/back/z.py")
	write(t, p("a/back/z.py"), "7")
	check(t, w, r, "a/back/z.py")

	// two folders change places
	write(t, p("b/other.py"), "8")
	check(t, w, r, "b")
	must(t, os.Rename(p("a"), p("t")))
	must(t, os.Rename(p("b"), p("a")))
	must(t, os.Rename(p("t"), p("b")))
	check(t, w, r, "a/other.py", "b/back/z.py", "b/other.py")
	write(t, p("b/back/z.py"), "9")
	write(t, p("a/other.py"), "9")
	check(t, w, r, "a/other.py", "b/back/z.py")

	must(t, os.RemoveAll(p("b")))
	check(t, w, r, "b", "b/back", "b/back/z.py")
	if got := w.Status().Folders; got != 2 {
		t.Errorf("%d folders", got)
	}
}

func TestRootComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "root")
	write(t, filepath.Join(dir, "a.py"), "1")
	w, r := begin(t, dir, Options{})
	must(t, os.RemoveAll(dir))
	check(t, w, r, "a.py", ".")
	write(t, filepath.Join(dir, "a.py"), "2")
	check(t, w, r, "a.py", ".")
	write(t, filepath.Join(dir, "a.py"), "3")
	check(t, w, r, "a.py")
	// another takes its place, by the rename of a folder that nobody watches
	up := filepath.Dir(dir)
	write(t, filepath.Join(up, "new", "a.py"), "4")
	must(t, os.Rename(dir, dir+"-old"))
	must(t, os.Rename(filepath.Join(up, "new"), dir))
	check(t, w, r, "a.py")
	write(t, filepath.Join(dir, "a.py"), "5")
	check(t, w, r, "a.py")
	// so does the folder above
	must(t, os.Rename(up, up+"-old"))
	write(t, filepath.Join(dir, "a.py"), "6")
	check(t, w, r, "a.py")
	write(t, filepath.Join(dir, "a.py"), "7")
	check(t, w, r, "a.py")
}

func TestLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, filepath.Join(other, "far.py"), "1")
	write(t, p("near/x.py"), "1")
	must(t, os.Symlink(other, p("folder")))
	must(t, os.Symlink(filepath.Join(other, "far.py"), p("file.py")))
	must(t, os.Symlink(p("near"), p("alias")))
	must(t, os.Symlink("..", p("near/circle")))
	must(t, os.Symlink("nowhere", p("broken")))
	w, r := begin(t, dir, Options{})
	told := func(want ...string) {
		t.Helper()
		sync_(t, w)
		got := r.paths()
		for _, q := range want {
			if !slices.Contains(got, q) {
				t.Errorf("%s was not told, of %v", q, got)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("told of %v", got)
		}
	}
	told()
	write(t, filepath.Join(other, "far.py"), "22")
	told("file.py", "folder/far.py")
	write(t, p("near/x.py"), "22")
	told("near/x.py", "alias/x.py")
	write(t, p("nowhere"), "1")
	told("nowhere", "broken")
	must(t, os.Remove(p("nowhere")))
	told("nowhere", "broken")
	must(t, os.Remove(p("alias")))
	told("alias", "alias/x.py")
	must(t, os.Mkdir(p("alias"), 0o755))
	write(t, p("alias/y.py"), "1")
	told("alias", "alias/y.py")
	write(t, p("alias/y.py"), "2")
	told("alias/y.py")
	told()
}

func TestTellsWithoutBeingAsked(t *testing.T) {
	dir := t.TempDir()
	_, r := begin(t, dir, Options{})
	write(t, filepath.Join(dir, "a.py"), "1")
	for r.differs() != "" {
		<-r.told
	}

	dir = t.TempDir()
	w, r, stop := start(t, dir, Options{Poll: time.Millisecond}, noEvents)
	defer stop()
	write(t, filepath.Join(dir, "a.py"), "1")
	for r.differs() != "" {
		<-r.told
	}
	if got := w.Status(); !got.Polling || got.Reason != "none here" {
		t.Errorf("%+v", got)
	}
}

func noEvents(*queue) (events, error) { return nil, errors.New("none here") }

func TestStorm(t *testing.T) {
	dir := t.TempDir()
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	r := &reader{dir: dir, ignore: nothing, state: scan(dir, nothing), told: make(chan struct{}, 1)}
	first := true
	w, _, stop := start(t, dir, Options{Changed: func(b Batch) {
		if first { // who is told is busy while the storm goes on
			first = false
			held <- struct{}{}
			<-hold
		}
		r.changed(b)
	}}, listen)
	defer stop()
	write(t, filepath.Join(dir, "first.py"), "")
	<-held
	for i := range 5000 {
		write(t, filepath.Join(dir, fmt.Sprint("d", i%50), fmt.Sprint("f", i, ".py")), fmt.Sprint(i))
	}
	close(hold)
	sync_(t, w)
	if d := r.differs(); d != "" {
		t.Fatal("after the storm what was told is not what is on disk")
	}
	if r.bulks == 0 || len(r.named) > stormSize {
		t.Errorf("%d bulk refreshes, %d paths", r.bulks, len(r.named))
	}
	r.named = nil
	write(t, filepath.Join(dir, "d7", "f7.py"), "again")
	sync_(t, w)
	if got := r.paths(); !slices.Equal(got, []string{"d7/f7.py"}) {
		t.Errorf("after the storm: %v", got)
	}
}

// limited refuses watches behind the first few.
type limited struct {
	events
	left int
}

func (l *limited) add(dir string) error {
	if l.left == 0 {
		return fullError("no watch is left")
	}
	l.left--
	return l.events.add(dir)
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, p("a/x.py"), "1")
	w, r, stop := start(t, dir, Options{}, func(q *queue) (events, error) {
		e, err := listen(q)
		return &limited{e, 3}, err // the cookies, the root, a
	})
	defer stop()
	if got := w.Status(); got.Polling {
		t.Errorf("%+v", got)
	}
	write(t, p("b/c/y.py"), "1")
	check(t, w, r, "b/c/y.py")
	if got := w.Status(); !got.Polling || got.Reason != "no watch is left" || got.Folders != 4 {
		t.Errorf("%+v", got)
	}
	for i := range 20 {
		text := fmt.Sprint(i % 10)
		write(t, p("b/c/y.py"), text)
		write(t, p("a/x.py"), text)
		check(t, w, r, "a/x.py", "b/c/y.py")
	}
	check(t, w, r)
	must(t, os.Rename(p("a"), p("b/d")))
	check(t, w, r, "a/x.py", "b/d/x.py")
}

func TestLostEvents(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, p("a/x.py"), "1")
	deaf := &mute{}
	w, r, stop := start(t, dir, Options{}, func(q *queue) (events, error) {
		inner := newQueue(q.cookies)
		deaf.to = q
		e, err := listen(inner)
		deaf.events, deaf.from = e, inner
		return deaf, err
	})
	defer stop()
	// the folder is replaced and nothing is heard of it but that something was lost
	must(t, os.RemoveAll(p("a")))
	write(t, p("a/x.py"), "2")
	deaf.to.lose()
	sync_(t, w)
	if d := r.differs(); d != "" || r.bulks != 1 {
		t.Fatalf("%d bulk refreshes; %s", r.bulks, d)
	}
	// taken waits for the events of what was done before, which a Sync on a file
	// system that is not trusted does not.
	taken := func() map[string]bool {
		for !w.answered(context.Background()) {
			continue
		}
		dirty, _ := deaf.from.take()
		return dirty
	}
	// the folder that is there now has a watch
	taken()
	write(t, p("a/x.py"), "3")
	got := taken()
	if _, heard := got[p("a/x.py")]; !heard {
		t.Errorf("events of %v only", got)
	}
	// so has one whose new name is found before its old one is known to be gone
	write(t, p("z/sub/deep/y.py"), "1")
	deaf.to.lose()
	sync_(t, w)
	must(t, os.Rename(p("z/sub"), p("a/sub")))
	deaf.to.lose()
	sync_(t, w)
	taken()
	write(t, p("a/sub/deep/y.py"), "2")
	got = taken()
	if _, heard := got[p("a/sub/deep/y.py")]; !heard {
		t.Errorf("events of %v only", got)
	}
}

// TestSameTick has a file written again within the grain of the clock: it looks
// as it did.
func TestSameTick(t *testing.T) {
	dir := t.TempDir()
	w, r, stop := start(t, dir, Options{}, noEvents)
	defer stop()
	f := filepath.Join(dir, "a.py")
	write(t, f, "1")
	check(t, w, r, "a.py")
	for _, text := range []string{"2", "2", "3"} {
		before := r.state[f]
		write(t, f, text)
		e := w.tree.folders[dir].entries["a.py"]
		e.id, _ = file.Stat(f)
		e.racy = true
		w.tree.folders[dir].entries["a.py"] = e
		sync_(t, w)
		if got := r.paths(); (len(got) == 1) != (before != "file "+text) {
			t.Errorf("%s, then %s: told of %v", before, text, got)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	dir := t.TempDir()
	w, r, stop := start(t, dir, Options{}, func(*queue) (events, error) { return silence{}, nil })
	defer stop()
	for i := range 3 {
		write(t, filepath.Join(dir, "a/y.py"), fmt.Sprint(i))
		check(t, w, r, "a/y.py")
	}
	check(t, w, r)
	if got := w.Status(); got.Polling || got.Sweeps != 4 {
		t.Errorf("%+v", got)
	}
}

// silence has no events.
type silence struct{}

func (silence) add(string) error { return nil }
func (silence) remove(string)    {}
func (silence) close()           {}

// mute keeps events to itself.
type mute struct {
	events
	from, to *queue
}

func TestIgnore(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, name) }
	write(t, p("venv/lib/x.py"), "1")
	w, r := begin(t, dir, Options{Ignore: func(path string, dir bool) bool {
		return dir && filepath.Base(path) == "venv" || !dir && strings.HasSuffix(path, ".pyc")
	}})
	write(t, p("venv/lib/y.py"), "1")
	write(t, p("venv/z.py"), "1")
	write(t, p("a.pyc"), "1")
	check(t, w, r)
	if got := w.Status().Folders; got != 1 {
		t.Errorf("%d folders", got)
	}
	write(t, p("a/venv"), "1") // a file
	check(t, w, r, "a/venv")
}

func TestTwoRoots(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write(t, filepath.Join(a, "in/x.py"), "1")
	var told []string
	w, err := New(Options{Roots: []string{filepath.Join(a, "in"), a, b, a}, StateDir: t.TempDir(), Changed: func(got Batch) {
		for _, c := range got.Changes {
			told = append(told, c.Path)
		}
	}})
	must(t, err)
	defer w.Close()
	write(t, filepath.Join(a, "in/x.py"), "2")
	write(t, filepath.Join(b, "y.py"), "2")
	sync_(t, w)
	for _, want := range []string{filepath.Join(a, "in/x.py"), filepath.Join(b, "y.py")} {
		if !slices.Contains(told, want) {
			t.Errorf("%s was not told, of %v", want, told)
		}
	}
	if got := w.Status().Folders; got != 3 {
		t.Errorf("%d folders", got)
	}
	if _, err := New(Options{Roots: []string{filepath.Join(a, "absent")}}); err == nil || !strings.Contains(err.Error(), "no such folder") {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestClose(t *testing.T) {
	w, _, stop := start(t, t.TempDir(), Options{}, listen)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a Sync that was given up: %v", err)
	}
	stop()
	w.Close()
	if err := w.Sync(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("a Sync of a closed Watcher: %v", err)
	}
}

func TestSyncAtOnce(t *testing.T) {
	dir := t.TempDir()
	w, r := begin(t, dir, Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 50 {
				write(t, filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(k)), "x")
				sync_(t, w)
				r.mu.Lock()
				if r.state[filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(k))] != "file x" {
					t.Errorf("file %d of %d was not told", k, i)
				}
				r.mu.Unlock()
			}
		})
	}
	all.Wait()
}
