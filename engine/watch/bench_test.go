package watch

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// project makes 10,000 files in 500 folders.
func project(b *testing.B) string {
	dir := b.TempDir()
	for i := range 10000 {
		write(b, filepath.Join(dir, fmt.Sprint("p", i%500), fmt.Sprint("test_", i, ".py")), "def test(): pass\n")
	}
	return dir
}

func BenchmarkNew(b *testing.B) {
	dir := project(b)
	o := Options{Roots: []string{dir}, StateDir: b.TempDir(), Changed: func(Batch) {}}
	for b.Loop() {
		w, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
}

func BenchmarkSync(b *testing.B) {
	for name, source := range map[string]func(*queue) (events, error){"events": listen, "sweep": noEvents} {
		b.Run(name, func(b *testing.B) {
			dir := project(b)
			w, _, stop := start(b, dir, Options{Changed: func(Batch) {}}, source)
			defer stop()
			for b.Loop() {
				write(b, filepath.Join(dir, "p7", "test_7.py"), "def test(): 1\n")
				if err := w.Sync(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
