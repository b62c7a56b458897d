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

	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving starts a resident process within this one; done is closed at its
// end.
func serving(t *testing.T, idle time.Duration, h Handler) (p client.Place, done chan struct{}) {
	t.Helper()
	return servingWith(t, idle, h, func(*server) {})
}

func servingWith(t *testing.T, idle time.Duration, h Handler, set func(*server)) (p client.Place, done chan struct{}) {
	t.Helper()
	p = client.Place{Dir: filepath.Join(t.TempDir(), "run")}
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

func request(argv ...string) client.Request {
	return client.Request{Argv: argv, Vars: []string{"A=1"}, Dir: "/", Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Began: 1, Asked: 2}
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
			status, text, err := client.Attach(p, request(name, "x y"), make(chan os.Signal, 2))
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
			return 0, "", &client.Declined{Reason: "a reason"}
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
		"decline": "0 declined: a reason", "leave": "0 " + client.ErrLost.Error(), "leave later": "0 " + client.ErrBroken.Error(), "interrupt": "2 <nil>", "": "0 <nil>",
	} {
		status, _, err := client.Attach(p, request(name), interrupts)
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
	status, _, err := client.Attach(p, request("panic"), make(chan os.Signal, 2))
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
	if _, _, err := client.Attach(p, request(""), make(chan os.Signal, 2)); !errors.Is(err, client.ErrNone) {
		t.Errorf("when it has stopped: %v", err)
	}
}

// TestIdle ends when nobody calls, and takes its socket away.
func TestIdle(t *testing.T) {
	p, done := serving(t, 20*time.Millisecond, func(context.Context, *Call) (int, string, error) { return 0, "", nil })
	<-done
	if _, err := os.Lstat(p.Socket()); !os.IsNotExist(err) {
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

// TestStrangers sends what no client sends: the next call is served.
func TestStrangers(t *testing.T) {
	p, _ := serving(t, time.Hour, func(context.Context, *Call) (int, string, error) { return 5, "", nil })
	huge := binary.LittleEndian.AppendUint32(nil, client.MaxRequest+1)
	good := (&client.Message{Op: client.OpRun, Request: request("a")}).Encode() // without files
	short := good[:len(good)-3]
	for _, text := range [][]byte{nil, {1}, {4, 0, 0, 0, 'x', 'x', 'x', 'x'}, huge, good, short} {
		c, err := net.Dial("unix", p.Socket())
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
	if status, _, err := client.Attach(p, request("a"), make(chan os.Signal, 2)); status != 5 || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	// Another protocol is another program's.
	other := (&client.Message{Op: client.OpRun, Request: request("a")}).Encode()
	other[8]++
	c, err := net.Dial("unix", p.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(other)
	answer := make([]byte, 5)
	if _, err := c.Read(answer); err != nil || answer[0] != client.KindReplaced {
		t.Errorf("%q, %v", answer, err)
	}
}
