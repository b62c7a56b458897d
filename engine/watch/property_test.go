package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestToldIsDisk makes random changes: who reads only what is told knows what
// is on disk, with events and without.
func TestToldIsDisk(t *testing.T) {
	for name, source := range map[string]func(*queue) (events, error){"events": listen, "polling": noEvents} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { toldIsDisk(t, source) }) })
	}
}

func toldIsDisk(t *rapid.T, source func(*queue) (events, error)) {
	dir, err := os.MkdirTemp("", "watch")
	must(t, err)
	defer os.RemoveAll(dir)
	outside, err := os.MkdirTemp("", "watch-outside")
	must(t, err)
	defer os.RemoveAll(outside)
	ignore := func(path string, dir bool) bool {
		name := filepath.Base(path)
		return name == "ix" || dir && name == "i"
	}
	w, r, stop := start(t, dir, Options{Ignore: ignore}, source)
	defer stop()
	// Few names, so that much happens to each: d, e and i are folders mostly.
	names := rapid.SampledFrom([]string{"d", "e", "i", "x", "ix"})
	path := func(what string) string {
		p := dir
		if rapid.IntRange(0, 7).Draw(t, what+" outside") == 0 {
			p = outside
		}
		for range rapid.IntRange(1, 3).Draw(t, what+" depth") {
			p = filepath.Join(p, names.Draw(t, what))
		}
		return p
	}
	n := 0
	t.Repeat(map[string]func(*rapid.T){
		// What cannot be done is not done: a random path often is not there.
		"write": func(t *rapid.T) { n++; _ = os.WriteFile(path("path"), []byte(fmt.Sprint(n%10)), 0o644) },
		"append": func(t *rapid.T) {
			if f, err := os.OpenFile(path("path"), os.O_APPEND|os.O_WRONLY, 0); err == nil {
				_, _ = f.WriteString("+")
				f.Close()
			}
		},
		"mkdir":    func(t *rapid.T) { _ = os.Mkdir(path("path"), 0o755) },
		"mkdirall": func(t *rapid.T) { _ = os.MkdirAll(path("path"), 0o755) },
		"rename":   func(t *rapid.T) { _ = os.Rename(path("from"), path("to")) },
		"delete":   func(t *rapid.T) { _ = os.Remove(path("path")) },
		"rmtree":   func(t *rapid.T) { _ = os.RemoveAll(path("path")) },
		"sync": func(t *rapid.T) {
			sync_(t, w)
			if d := r.differs(); d != "" {
				t.Fatal(d)
			}
			for _, p := range r.paths() {
				if told := filepath.Join(dir, p); p != "." && hidden(dir, told, ignore) {
					t.Fatalf("told of %s, which is ignored", p)
				}
			}
		},
	})
	sync_(t, w)
	if d := r.differs(); d != "" {
		t.Fatal(d)
	}
}

// hidden reports whether a path, whatever is there now, is in a folder that is
// ignored, or would be ignored as a file and as a folder.
func hidden(root, path string, ignore func(string, bool) bool) bool {
	for up := filepath.Dir(path); len(up) > len(root); up = filepath.Dir(up) {
		if ignore(up, true) {
			return true
		}
	}
	return ignore(path, true) && ignore(path, false)
}
