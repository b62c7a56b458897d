package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving starts a resident process within this one; done is closed at its
// end.
func serving(t *testing.T, idle time.Duration, h Handler) (p Place, done chan struct{}) {
	t.Helper()
	return servingWith(t, idle, h, func(*server) {})
}

func servingWith(t *testing.T, idle time.Duration, h Handler, set func(*server)) (p Place, done chan struct{}) {
	t.Helper()
	p = Place{filepath.Join(t.TempDir(), "run")}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan error, 1)
	done = make(chan struct{})
	go func() {
		defer close(done)
		s := newServer(Options{Place: p, Handler: h, Idle: idle, Log: t.Logf, Ready: func(err error) { ready <- err }})
		set(s)
		_ = s.serveAll(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return p, done
}

func request(argv ...string) Request {
	return Request{Argv: argv, Vars: []string{"A=1"}, Dir: "/", Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Began: 1, Asked: 2}
}

// TestCalls has clients served at the same time: each waits for the other.
func TestCalls(t *testing.T) {
	meet := make(chan string)
	failed := make(chan struct{}) // closed when one will never come
	p, _ := serving(t, time.Hour, func(_ context.Context, c *Call) (int, string, error) {
		c.Begin()
		if c.Argv[0] == "a" {
			select {
			case meet <- c.Dir:
			case <-failed:
			}
		} else {
			select {
			case <-meet:
			case <-failed:
			}
		}
		if c.Got < c.Asked || c.Vars[0] != "A=1" {
			return 1, fmt.Sprint(c.Request), nil
		}
		return 7, strings.Join(c.Argv, " "), nil
	})
	notes := make(chan string)
	for _, name := range []string{"a", "b"} {
		go func() {
			status, text, err := Attach(p, request(name, "x y"), make(chan os.Signal, 2))
			if err != nil {
				close(failed)
			}
			notes <- fmt.Sprint(status, text, err)
		}()
	}
	got := map[string]bool{<-notes: true, <-notes: true}
	if want := map[string]bool{"7a x y<nil>": true, "7b x y<nil>": true}; !cmp.Equal(got, want) {
		t.Errorf("%v", got)
	}
	s, err := Ask(p)
	if err != nil || s.Calls != 2 || s.Running != 0 || s.PID != os.Getpid() {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestEnds tells the ends of a call apart.
func TestEnds(t *testing.T) {
	interrupts := make(chan os.Signal, 2)
	p, done := serving(t, time.Hour, func(ctx context.Context, c *Call) (int, string, error) {
		switch c.Argv[0] {
		case "decline":
			return 0, "", &Declined{"a reason"}
		case "panic":
			panic("on purpose")
		case "leave":
			c.conn.CloseWrite()
			<-ctx.Done()
		case "leave later":
			c.Begin()
			c.conn.CloseWrite()
			<-ctx.Done()
		case "interrupt":
			interrupts <- os.Interrupt
			<-ctx.Done()
			if context.Cause(ctx) != run.Interrupted {
				return 1, "", nil
			}
			interrupts <- os.Interrupt
			<-c.Kill
			return 2, "", nil
		}
		return 0, "", nil
	})
	for name, want := range map[string]string{
		"decline": "0 declined: a reason", "leave": "0 " + ErrLost.Error(), "leave later": "0 " + ErrBroken.Error(), "interrupt": "2 <nil>", "": "0 <nil>",
	} {
		status, _, err := Attach(p, request(name), interrupts)
		if got := fmt.Sprint(status, " ", err); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	saved, err := unix.Dup(2) // a client's files are its first three
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup2(int(w.Fd()), 2); err != nil {
		t.Fatal(err)
	}
	status, _, err := Attach(p, request("panic"), make(chan os.Signal, 2))
	_ = unix.Dup2(saved, 2)
	unix.Close(saved)
	w.Close()
	text := make([]byte, 200)
	n, _ := r.Read(text)
	if status != 3 || err != nil || !strings.Contains(string(text[:n]), "on purpose") {
		t.Errorf("a panic: %d, %v, %s", status, err, text[:n])
	}
	if err := Stop(p); err != nil {
		t.Error(err)
	}
	<-done
	if _, _, err := Attach(p, request(""), make(chan os.Signal, 2)); !errors.Is(err, ErrNone) {
		t.Errorf("when it has stopped: %v", err)
	}
}

// TestIdle ends when nobody calls, and takes its socket away.
func TestIdle(t *testing.T) {
	p, done := serving(t, 20*time.Millisecond, func(context.Context, *Call) (int, string, error) { return 0, "", nil })
	<-done
	if _, err := os.Lstat(p.socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is there: %v", err)
	}
}

// TestOne lets no second one have the place.
func TestOne(t *testing.T) {
	p, _ := serving(t, time.Hour, nil)
	err := Serve(context.Background(), Options{Place: p, Ready: func(error) {}})
	if !errors.Is(err, errBusy) {
		t.Errorf("a second one: %v", err)
	}
}

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
		if err := private(filepath.Join(dir, name)); err == nil {
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

// TestStrangers sends what no client sends: the next call is served.
func TestStrangers(t *testing.T) {
	p, _ := serving(t, time.Hour, func(context.Context, *Call) (int, string, error) { return 5, "", nil })
	huge := binary.LittleEndian.AppendUint32(nil, maxRequest+1)
	good := (&message{op: opRun, Request: request("a")}).encode() // without files
	short := good[:len(good)-3]
	for _, text := range [][]byte{nil, {1}, {4, 0, 0, 0, 'x', 'x', 'x', 'x'}, huge, good, short} {
		c, err := net.Dial("unix", p.socket())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(text)
		_ = c.(*net.UnixConn).CloseWrite()
		if n, err := c.Read(make([]byte, 1)); n > 0 {
			t.Errorf("%q was answered: %v", text, err)
		}
		c.Close()
	}
	if status, _, err := Attach(p, request("a"), make(chan os.Signal, 2)); status != 5 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	// Another protocol is another program's.
	other := (&message{op: opRun, Request: request("a")}).encode()
	other[8]++
	c, err := net.Dial("unix", p.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(other)
	answer := make([]byte, 5)
	if _, err := c.Read(answer); err != nil || answer[0] != replaced {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestSilent does not wait for long for a process that is stopped.
func TestSilent(t *testing.T) {
	before := answersIn
	answersIn = 10 * time.Millisecond
	defer func() { answersIn = before }()
	p := Place{t.TempDir()}
	l, err := net.Listen("unix", p.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, _, err := Attach(p, request(""), make(chan os.Signal, 2)); !errors.Is(err, ErrSilent) {
		t.Error(err)
	}
}

// TestMessage reads what it writes, and nothing that is shorter or longer.
func TestMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.String())
		m := message{op: rapid.Byte().Draw(t, "op"), inherited: rapid.String().Draw(t, "inherited")}
		m.program = file.Identity{Size: rapid.Int64().Draw(t, "size"), MtimeNs: 2, CtimeNs: 3, Dev: 4, Ino: rapid.Uint64().Draw(t, "ino")}
		m.Argv, m.Vars, m.Dir = texts.Draw(t, "argv"), texts.Draw(t, "vars"), rapid.String().Draw(t, "dir")
		m.Began, m.Asked = rapid.Int64().Draw(t, "began"), 9
		b := m.encode()
		if int(binary.LittleEndian.Uint32(b)) != len(b)-4 {
			t.Fatal("the length is not its own")
		}
		var got message
		if err := got.decode(b[4:]); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(m) {
			t.Fatalf("%v, want %v", got, m)
		}
		cut := rapid.IntRange(0, len(b)-5).Draw(t, "cut")
		if err := new(message).decode(b[4 : 4+cut]); err == nil {
			t.Fatalf("%d of %d bytes pass", cut, len(b)-4)
		}
		if err := new(message).decode(append(b[4:], 0)); err == nil {
			t.Fatal("one more byte passes")
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add((&message{op: opRun, Request: request("a", "b")}).encode()[4:])
	f.Fuzz(func(t *testing.T, b []byte) {
		var m message
		if err := m.decode(b); err == nil {
			if again := m.encode()[4:]; string(again) != string(b) {
				t.Errorf("%q is written as %q", b, again)
			}
		}
	})
}
