package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPrivate refuses folders that others have a hand in.
func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	link, plain := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"group": 0o710, "all": 0o707, "sticky": 0o777 | os.ModeSticky} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "file", "group", "all", "sticky", "none/below"} {
		if err := Private(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := Find(func(string) string { return "/" + strings.Repeat("x", 200) }); err == nil || !strings.Contains(err.Error(), "201 of 90 bytes") {
		t.Errorf("a long path: %v", err)
	}
	place, err := Find(func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": dir}[name] })
	if err != nil || place.Dir != filepath.Join(dir, "dx-py") {
		t.Errorf("%v, %v", place, err)
	}
	if st, err := os.Stat(place.Dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestSilent does not wait for long for a process that is stopped.
func TestSilent(t *testing.T) {
	before := AnswersIn
	AnswersIn = 10 * time.Millisecond
	defer func() { AnswersIn = before }()
	p := Place{t.TempDir()}
	l, err := net.Listen("unix", p.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, _, err := Attach(p, Request{Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}, make(chan os.Signal, 2)); !errors.Is(err, ErrSilent) {
		t.Error(err)
	}
}

// TestMessage reads what it writes, and nothing that is shorter or longer.
func TestMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.String())
		m := Message{Op: rapid.Byte().Draw(t, "op"), Inherited: rapid.String().Draw(t, "inherited")}
		m.Program = Program{Size: rapid.Int64().Draw(t, "size"), MtimeNs: 2, Dev: 4, Ino: rapid.Uint64().Draw(t, "ino")}
		m.Argv, m.Vars, m.Dir = texts.Draw(t, "argv"), texts.Draw(t, "vars"), rapid.String().Draw(t, "dir")
		m.Began, m.Asked = rapid.Int64().Draw(t, "began"), 9
		b := m.Encode()
		if int(binary.LittleEndian.Uint32(b)) != len(b)-4 {
			t.Fatal("the length is not its own")
		}
		var got Message
		if err := got.Decode(b[4:]); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(m) {
			t.Fatalf("%v, want %v", got, m)
		}
		cut := rapid.IntRange(0, len(b)-5).Draw(t, "cut")
		if err := new(Message).Decode(b[4 : 4+cut]); err == nil {
			t.Fatalf("%d of %d bytes pass", cut, len(b)-4)
		}
		if err := new(Message).Decode(append(b[4:], 0)); err == nil {
			t.Fatal("one more byte passes")
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add((&Message{Op: OpRun, Request: Request{Argv: []string{"a", "b"}}}).Encode()[4:])
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if err := m.Decode(b); err == nil {
			if again := m.Encode()[4:]; string(again) != string(b) {
				t.Errorf("%q is written as %q", b, again)
			}
		}
	})
}
