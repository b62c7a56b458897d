package watch

import (
	"os"
	"path/filepath"
	"testing"

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
