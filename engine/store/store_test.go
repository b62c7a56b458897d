package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip saves records in random batches and reads all of them back
// from a store that was opened anew each time.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		want := map[string][]byte{}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			batch := rapid.MapOfN(rapid.StringN(1, 8, -1), rapid.SliceOfN(rapid.Byte(), 0, 200), 1, 12).Draw(t, "batch")
			var add []Record
			for k, v := range batch {
				r := Record{Key: k, Data: v}
				r.Meta[0] = byte(len(v))
				add = append(add, r)
				want[k] = v
			}
			f := Open(dir, "s", 1)
			if err := f.Save(add, func(string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		f := Open(dir, "s", 1)
		defer f.Close()
		for k, v := range want {
			r, ok := f.Get(k)
			if !ok || !bytes.Equal(r.Data, v) || r.Meta[0] != byte(len(v)) {
				t.Fatalf("%q: got %v %q, want %q", k, ok, r.Data, v)
			}
		}
		if _, ok := f.Get("absent key"); ok {
			t.Fatal("a key that was never saved is there")
		}
		if g := Open(dir, "s", 2); g.Len() != 0 {
			t.Fatal("another version reads the records")
		}
	})
}

func TestOneWriterAtATime(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(filepath.Join(dir, "s.lock"))
	if err != nil {
		t.Fatal(err)
	}
	f := Open(dir, "s", 1)
	defer f.Close()
	add := []Record{{Key: "k", Data: []byte("v")}}
	if err := f.Save(add, func(string) bool { return true }); err != ErrBusy {
		t.Errorf("a second writer got %v", err)
	}
	unlock()
	if err := f.Save(add, func(string) bool { return true }); err != nil {
		t.Error(err)
	}
}

// TestTornLog cuts the log at every length, as a killed writer would: what was
// whole stays, and the next save mends it.
func TestTornLog(t *testing.T) {
	base := t.TempDir()
	f := Open(base, "s", 1)
	big := Record{Key: "big", Data: make([]byte, 4000)}
	if err := f.Save([]Record{big}, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := range 3 {
		f := Open(base, "s", 1)
		if err := f.Save([]Record{{Key: fmt.Sprint("k", i), Data: []byte("value")}}, func(string) bool { return true }); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	log, err := os.ReadFile(filepath.Join(base, "s.log"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range log {
		if err := os.WriteFile(filepath.Join(base, "s.log"), log[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		f := Open(base, "s", 1)
		if _, ok := f.Get("big"); !ok {
			t.Fatalf("cut at %d: the mapped record is gone", n)
		}
		for i := range 3 {
			if r, ok := f.Get(fmt.Sprint("k", i)); ok && string(r.Data) != "value" {
				t.Fatalf("cut at %d: k%d is %q", n, i, r.Data)
			}
		}
		f.Close()
	}
	f = Open(base, "s", 1)
	if err := f.Save([]Record{{Key: "after", Data: []byte("x")}}, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f = Open(base, "s", 1)
	defer f.Close()
	if _, ok := f.Get("after"); !ok {
		t.Error("a record saved behind a torn log is not found")
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	s := Open(dir, "s", 1)
	s.Save([]Record{{Key: "a", Data: []byte("1")}, {Key: "b", Data: []byte("22")}}, func(string) bool { return true })
	s.Close()
	seed, err := os.ReadFile(filepath.Join(dir, "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, []byte{})
	f.Fuzz(func(t *testing.T, mapped, log []byte) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "s"), mapped, 0o600)
		os.WriteFile(filepath.Join(dir, "s.log"), log, 0o600)
		s := Open(dir, "s", 1)
		defer s.Close()
		for _, k := range []string{"a", "b", ""} {
			if r, ok := s.Get(k); ok {
				_ = bytes.Clone(r.Data)
			}
		}
	})
}
