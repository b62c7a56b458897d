package daemon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/internal/clock"
	"github.com/dx-py/dx-py-ls/engine/internal/inherited"
	"github.com/dx-py/dx-py-ls/engine/run"
)

var errBusy = errors.New("there is a resident process")

// server is a resident process.
type server struct {
	Options
	program   client.Program
	inherited string
	started   time.Time
	listener  *net.UnixListener
	stopping  chan struct{}
	stop      context.CancelCauseFunc // of all calls
	once      sync.Once
	calls     sync.WaitGroup

	look time.Duration // how often
	low  func() bool   // memory is short
	time clock.Clock   // tells how long nobody has called

	mu      sync.Mutex
	engines map[string]*engine.Engine
	idle    clock.Alarm
	served  int
	running int
	editors int
}

// Serve is the resident process. It returns when it has been told to stop,
// the context has ended, a newer program has come or nobody has called for
// long, and all that runs has ended.
func Serve(ctx context.Context, o Options) error {
	return newServer(o).serveAll(ctx)
}

func newServer(o Options) *server {
	return &server{Options: o, started: time.Now(), stopping: make(chan struct{}), engines: map[string]*engine.Engine{}, look: lookEvery, low: memoryLow, time: clock.System{}}
}

func (s *server) serveAll(ctx context.Context) error {
	unlock, err := s.listen()
	s.Ready(err)
	if err != nil {
		return err
	}
	ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	stop := context.AfterFunc(ctx, s.leave)
	defer stop()
	s.idle = s.time.AfterFunc(s.Idle, s.leave)
	s.calls.Go(func() {
		<-s.stopping
		s.listener.Close()
	})
	s.calls.Go(s.giveBack)
	for {
		c, err := s.listener.AcceptUnix()
		if err != nil {
			select {
			case <-s.stopping:
			default:
				s.Log("accepting: %v", err)
				s.leave()
			}
			break
		}
		s.calls.Go(func() {
			defer c.Close()
			s.serve(ctx, &conn{UnixConn: c})
		})
	}
	// The next one may have the place while the last calls end here.
	_ = os.Remove(s.Place.Socket())
	unlock()
	s.calls.Wait()
	s.idle.Stop()
	for _, e := range s.engines {
		e.Close()
	}
	return nil
}

// listen takes the place.
func (s *server) listen() (unlock func(), err error) {
	if s.program, err = client.Running(); err != nil {
		return nil, err
	}
	if s.inherited, err = inherited.Read(); err != nil {
		return nil, err
	}
	if err := client.Private(s.Place.Dir); err != nil {
		return nil, err
	}
	if unlock, err = lock(s.Place); err != nil {
		return nil, err
	}
	// Whoever connects finds somebody: the name is there once it listens.
	name := filepath.Join(s.Place.Dir, "making")
	_ = os.Remove(name)
	s.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err == nil {
		s.listener.SetUnlinkOnClose(false)
		err = os.Rename(name, s.Place.Socket())
	}
	if err != nil {
		unlock()
		return nil, fmt.Errorf("listening in %s: %w", s.Place.Dir, err)
	}
	return unlock, nil
}

// leave has no further calls taken.
func (s *server) leave() { s.once.Do(func() { close(s.stopping) }) }

// engine returns the engine of a root.
func (s *server) engine(root string) *engine.Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.engines[root]
	if e == nil {
		e = &engine.Engine{Attentive: true}
		s.engines[root] = e
	}
	return e
}

// conn is a client, seen from the resident process.
type conn struct {
	*net.UnixConn
	mu sync.Mutex
}

// say writes a message; that the client is gone is met by who reads.
func (c *conn) say(kind byte, text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.Write(client.Say(kind, text))
}

func (c *conn) begin() { c.say(client.KindBegan, nil) }

// receive reads a client's first message.
func (c *conn) receive() (m client.Message, err error) {
	var head [4]byte
	oob := make([]byte, unix.CmsgSpace(4*len(m.Files)))
	n, k, _, _, err := c.ReadMsgUnix(head[:], oob)
	if err != nil {
		return m, err
	}
	files := received(oob[:k])
	defer func() {
		if err != nil {
			closeFiles(&m.Request)
		}
	}()
	for i, f := range files {
		if i < len(m.Files) {
			m.Files[i] = f
		} else {
			f.Close()
		}
	}
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return m, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > client.MaxRequest {
		return m, fmt.Errorf("a request of %d bytes, more than %d", size, client.MaxRequest)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(c, b); err != nil {
		return m, err
	}
	if err := m.Decode(b); err != nil {
		return m, err
	}
	if (m.Op == client.OpRun || m.Op == client.OpSession) && m.Files[len(m.Files)-1] == nil {
		return m, client.ErrMessage
	}
	return m, nil
}

// received are the files that came with a message.
func received(oob []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "the caller's file"))
		}
	}
	return files
}

func closeFiles(r *client.Request) {
	for i, f := range r.Files {
		if f != nil {
			f.Close()
			r.Files[i] = nil
		}
	}
}

// serve takes one client's request.
func (s *server) serve(ctx context.Context, c *conn) {
	same := false
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { same = client.SameUser(int(fd)) })
	}
	if !same {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(client.AnswersIn))
	m, err := c.receive()
	if errors.Is(err, client.ErrProtocol) {
		// Only another program speaks another one, and what it is cannot be read.
		s.leave()
		c.say(client.KindReplaced, nil)
		return
	}
	if err != nil {
		s.Log("reading a request: %v", err)
		return
	}
	defer closeFiles(&m.Request)
	_ = c.SetReadDeadline(time.Time{})
	switch m.Op {
	case client.OpStatus:
		b, err := json.Marshal(s.status())
		if err != nil {
			s.Log("telling the status: %v", err)
		}
		c.say(client.KindTold, b)
		return
	case client.OpStop:
		s.leave()
		s.stop(run.Interrupted)
		c.say(client.KindTold, nil)
		return
	}
	what := inherited.Differ(s.inherited, m.Inherited)
	if m.Op == client.OpSession {
		// Node.js raises the limit of open files for all that it starts.
		what = inherited.Differ(inherited.Without(s.inherited, "nofile"), inherited.Without(m.Inherited, "nofile"))
	}
	switch {
	case m.Program != s.program && m.Program.MtimeNs < s.program.MtimeNs:
		c.say(client.KindDeclined, []byte("the resident process is of a newer program"))
		return
	case m.Program != s.program:
		s.leave()
		c.say(client.KindReplaced, nil)
		return
	case what != "" && m.Op == client.OpRun && s.ran() == 0:
		// An editor has started it, with what is an editor's: shells get their own.
		s.leave()
		c.say(client.KindReplaced, nil)
		return
	case what != "":
		c.say(client.KindDeclined, []byte("the resident process has another "+what))
		return
	}
	c.say(client.KindAccepted, nil)
	if m.Op == client.OpSession {
		s.answer(ctx, c, m.Request, s.Session, &s.editors)
	} else {
		s.answer(ctx, c, m.Request, s.Handler, &s.running)
	}
}

// answer runs the handler for a client that may go away, or have it stopped.
func (s *server) answer(process context.Context, c *conn, r client.Request, handler Handler, counted *int) {
	call := &Call{Request: r, Got: client.Now(), Kill: make(chan struct{}), server: s, conn: c}
	s.count(counted, 1)
	ctx, cancel := context.WithCancelCause(process)
	defer cancel(nil)
	if counted == &s.editors {
		defer call.cut(ctx)()
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var once sync.Once
		for {
			var head [5]byte
			_, err := io.ReadFull(c, head[:])
			cancel(run.Interrupted)
			if err != nil || head[0] == client.KindKill {
				once.Do(func() { close(call.Kill) })
			}
			if err != nil {
				return
			}
		}
	}()
	status, notes, err := s.handle(ctx, call, handler)
	if counted == &s.editors && process.Err() != nil {
		status = client.StoppedStatus
	}
	closeFiles(&call.Request) // before the client knows: who reads its output waits for its end
	s.count(counted, -1)      // and what it asks for next finds it over
	var no *client.Declined
	switch {
	case errors.As(err, &no):
		c.say(client.KindDeclined, []byte(no.Reason))
	default:
		c.say(client.KindEnded, append(binary.LittleEndian.AppendUint32(nil, uint32(status)), notes...))
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	<-gone
}

// handle keeps a mistake of ours in one call from ending the others.
func (s *server) handle(ctx context.Context, call *Call, handler Handler) (status int, notes string, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.Log("panic: %v\n%s", r, debug.Stack())
			fmt.Fprintf(call.Files[2], "error: the resident process met a mistake of its own: %v\n", r)
			status = 3
		}
	}()
	return handler(ctx, call)
}

// count keeps the number of calls, and the time since the last one.
func (s *server) count(what *int, d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if what == &s.running && d > 0 {
		s.served++
	}
	if *what += d; d > 0 {
		s.idle.Stop()
	} else if s.running+s.editors == 0 {
		s.idle = s.time.AfterFunc(s.Idle, s.leave)
	}
}

// ran is how many calls there were.
func (s *server) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

func (s *server) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{PID: os.Getpid(), Started: s.started, Calls: s.served, Running: s.running, Editors: s.editors}
	for root := range s.engines {
		st.Roots = append(st.Roots, root)
	}
	sort.Strings(st.Roots)
	return st
}
