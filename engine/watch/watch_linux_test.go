package watch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func TestNothingButFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	w, r := begin(t, dir, Options{})
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo2"), 0o644))
	sync_(t, w)
	if got := r.paths(); len(got) > 0 {
		t.Errorf("told of %v", got)
	}
}

func TestCloseLeavesNoDescriptor(t *testing.T) {
	dir := t.TempDir()
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	before := count()
	for range 3 {
		w, _, stop := start(t, dir, Options{}, listen)
		sync_(t, w)
		stop()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestOverflow has more events than the kernel keeps, with nobody reading: it
// drops what comes then, and says so.
func TestOverflow(t *testing.T) {
	dir := t.TempDir()
	var kernel *inotify
	var q *queue
	w, r, stop := start(t, dir, Options{}, func(to *queue) (events, error) {
		watcher, err := fsnotify.NewWatcher()
		kernel, q = &inotify{watcher: watcher}, to
		return kernel, err
	})
	defer stop()
	a, err := os.Create(filepath.Join(dir, "a"))
	must(t, err)
	defer a.Close()
	b, err := os.Create(filepath.Join(dir, "b"))
	must(t, err)
	defer b.Close()
	most, err := strconv.Atoi(limit("max_queued_events"))
	must(t, err)
	for range most { // in turn: an event like the one before is no second one
		for _, f := range []*os.File{a, b} {
			_, err := f.WriteString(".")
			must(t, err)
		}
	}
	write(t, filepath.Join(dir, "sub/x.py"), "1")
	kernel.ended.Add(1)
	go kernel.pump(q)
	sync_(t, w)
	if d := r.differs(); d != "" {
		t.Fatal("what was told is not what is on disk")
	}
	if !strings.Contains(strings.Join(kernel.watcher.WatchList(), " "), filepath.Join(dir, "sub")) {
		t.Errorf("watched are %v", kernel.watcher.WatchList())
	}
	bulks := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.bulks
	}
	for bulks() == 0 { // when Sync got no answer in time, the bulk refresh is still to come
		<-r.told
	}
	write(t, filepath.Join(dir, "sub/x.py"), "2")
	sync_(t, w)
	if d := r.differs(); d != "" {
		t.Fatal("what was told is not what is on disk")
	}
}
