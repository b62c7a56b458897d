package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/enginetest"
)

// echo answers each line, and ends at one that says so.
func echo(_ context.Context, c *Call) (int, string, error) {
	for in := bufio.NewReader(c.Files[0]); ; {
		line, err := in.ReadString('\n')
		if err != nil || line == "end\n" {
			return 0, "", nil
		}
		fmt.Fprint(c.Files[1], c.Argv[0], line)
	}
}

func open(t *testing.T, p client.Place) *client.Stream {
	t.Helper()
	s, err := client.Open(p, request("> "))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func ask1(t *testing.T, s *client.Stream, line, want string) {
	t.Helper()
	fmt.Fprintln(s, line)
	if got, err := bufio.NewReader(s).ReadString('\n'); got != want+"\n" {
		t.Errorf("%q: %q, %v", line, got, err)
	}
}

// TestSession serves streams until they end, by one side or the other, or the
// process is to end.
func TestSession(t *testing.T) {
	p, done := servingWith(t, time.Hour, nil, func(s *server) { s.Session = echo })
	one, two := open(t, p), open(t, p)
	ask1(t, one, "a", "> a")
	ask1(t, two, "b", "> b")
	if s, err := Ask(p); err != nil || s.Editors != 2 || s.Running != 0 || s.Calls != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	ask1(t, one, "a", "> a")
	fmt.Fprintln(one, "end")
	if b, err := io.ReadAll(one); len(b) != 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := one.Lost(); err != nil {
		t.Errorf("a session that has ended: %v", err)
	}
	ask1(t, two, "b", "> b")
	if err := Stop(p); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(two); len(b) != 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := two.Lost(); !errors.Is(err, client.ErrStopped) {
		t.Errorf("a process that was ended: %v", err)
	}
	<-done
}

// TestSessionIdle serves a session for a day. Half an hour behind the last one
// the process ends.
func TestSessionIdle(t *testing.T) {
	clock := &enginetest.Clock{}
	left := make(chan struct{})
	p, done := servingWith(t, 30*time.Minute, nil, func(s *server) {
		s.time, s.Session = clock, func(ctx context.Context, c *Call) (int, string, error) {
			defer close(left)
			return echo(ctx, c)
		}
	})
	s := open(t, p)
	ask1(t, s, "a", "> a")
	clock.Advance(24 * time.Hour)
	ask1(t, s, "a", "> a")
	s.Close()
	<-left
	for clock.Alarms() == 0 { // set when the session is counted out
		runtime.Gosched()
	}
	clock.Advance(29 * time.Minute)
	if st, err := Ask(p); err != nil || st.Editors != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	clock.Advance(time.Minute)
	<-done
}

// TestSessionOfOneWhoDoesNotRead ends though a session waits to write.
func TestSessionOfOneWhoDoesNotRead(t *testing.T) {
	p, done := servingWith(t, time.Hour, nil, func(s *server) {
		s.Session = func(_ context.Context, c *Call) (int, string, error) {
			_, err := c.Files[1].Write(make([]byte, 8<<20))
			return 0, "", err
		}
	})
	s := open(t, p)
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := Stop(p); err != nil {
		t.Error(err)
	}
	<-done
}
