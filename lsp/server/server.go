// Package server is the language server: it speaks LSP over the workspace.
// URIs, positions in UTF-16 and JSON-RPC live here and nowhere below.
//
// Messages that change state run inline, in the order in which they came, and
// only hand changes to the workspace; queries run beside them on a Snapshot.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// Options are what the process knows before a client speaks.
type Options struct {
	Version  string
	Env      map[string]string
	StateDir string
	Log      *slog.Logger // nil: errors to standard error

	// Engine is whose processes run a project's tests, by pytest's rootdir: they
	// belong to somebody else, who closes them. nil: each folder has its own.
	Engine func(root string) *engine.Engine
	// Forwarded says that another process stands between the client and this one:
	// it watches the client's process.
	Forwarded bool
	// Before counts the servers that the client had in this session: what they
	// have numbered is not numbered again.
	Before int
}

// GCPercent is the garbage collector's setting for a process that serves: for
// keys in a file of 5,000 lines the 95th percentile is a tenth lower than at 100
// percent, for some 30 MB more, and at 800 it is no lower.
const GCPercent = 300

// Serve speaks LSP on a pair of streams until the client says exit, goes away
// or ctx ends. Its error is why the connection broke; none after exit.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		opts: o, docs: map[string]*document{}, exited: make(chan struct{}), log: o.Log,
		runs: newRuns(o.Before), working: working{next: o.Before * numbers}, found: newFound(o.Before), following: newPending(),
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	defer s.close()
	stream := jsonrpc2.NewHeaderStream(pipe{Interruptible(in), out, func() { s.runs.cancel("") }})
	s.conn = jsonrpc2.NewConn(stream, jsonrpc2.WithCodec(codec{}))
	s.client = protocol.ClientDispatcher(s.conn)
	s.base = ctx
	var workers sync.WaitGroup
	workers.Go(func() { s.publish(ctx) })
	workers.Go(func() { s.follow(ctx) })
	s.conn.Go(ctx, s.ordered(protocol.ServerHandler(s, jsonrpc2.MethodNotFoundHandler)))
	var err error
	select {
	case <-s.exited:
	case <-ctx.Done():
	case <-s.conn.Done():
		if err = s.conn.Err(); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	cancel()
	s.besideMu.Lock()
	s.ending = true
	s.besideMu.Unlock()
	s.runs.wait(context.Background())
	s.conn.Close()
	workers.Wait()
	s.beside.Wait()
	return err
}

// pipe joins the two streams. Closing it closes the reader where it can be
// closed: the connection's read loop ends with it.
type pipe struct {
	io.Reader
	io.Writer
	ended func() // called when there is nothing to read: a command that runs tests would hold up the end
}

func (p pipe) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil {
		p.ended()
	}
	return n, err
}

func (p pipe) Close() error {
	if c, ok := p.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// codec is protocol's own, which it does not export.
type codec struct{}

func (codec) Marshal(v any) ([]byte, error) {
	if raw, ok := v.(jsonrpc2.RawMessage); ok {
		if raw == nil {
			return []byte("null"), nil
		}
		return raw, nil
	}
	return protocol.Marshal(v)
}

func (codec) Unmarshal(b []byte, v any) error {
	if raw, ok := v.(*jsonrpc2.RawMessage); ok {
		*raw = append((*raw)[:0], b...)
		return nil
	}
	return protocol.Unmarshal(b, v)
}

type server struct {
	protocol.UnimplementedServer
	opts   Options
	log    *slog.Logger
	conn   jsonrpc2.Conn
	client protocol.Client
	exited chan struct{}
	once   sync.Once
	calls  sync.Map // id of a call under way -> context.CancelFunc
	base   context.Context

	besideMu sync.Mutex
	beside   sync.WaitGroup // goroutines that talk to the client
	ending   bool           // no more of them

	mu          sync.Mutex
	initialized bool
	can         abilities
	utf8        bool // positions are bytes instead of UTF-16 units
	folders     []*folder
	docs        map[string]*document // open, by path
	trusted     bool                 // the user allows this workspace's code to run
	outputs     string               // folder of the texts that were shown, "" for none yet

	lensMu   sync.Mutex
	lensKept map[string]keptLenses // what open documents were answered with, by path

	results   results
	runs      runs
	found     found
	following pending // what results and tests depend on may be others
	working   working
	coverage  coverage
}

// inOrder are the requests that change state: they run in wire order, and call
// nothing on the client before they are released.
var inOrder = map[string]bool{"initialize": true, "shutdown": true, testproto.MethodRunTests: true, testproto.MethodCancelRun: true}

// ordered runs notifications inline, in wire order, and calls beside them.
// Neither an error of a notification nor a panic ends the connection.
//
// The library's own CancelHandler is not used: it derives a context from the
// request's, whose memory is used again as soon as the request is answered,
// and a goroutine of package context may look at it after that.
func (s *server) ordered(h jsonrpc2.Handler) jsonrpc2.Handler {
	return func(ctx context.Context, req *jsonrpc2.Request) (any, error) {
		method := strings.Clone(req.Method())
		if !s.welcome(method) {
			if !req.IsCall() {
				return nil, nil
			}
			return nil, jsonrpc2.Errorf(notInitialized, "%s before initialize", method)
		}
		if !req.IsCall() {
			s.notification(jsonrpc2.DetachContext(ctx), method, h, req)
			return nil, nil
		}
		release := sync.OnceFunc(func() { jsonrpc2.Async(ctx) })
		if !inOrder[method] {
			release()
		}
		call, cancel := context.WithCancel(jsonrpc2.DetachContext(ctx))
		defer cancel()
		id := fmt.Sprint(req.ID())
		s.calls.Store(id, cancel)
		defer s.calls.Delete(id)
		return s.guarded(call, method, h, req, release)
	}
}

// notInitialized is LSP's code for what comes before initialize.
const notInitialized jsonrpc2.Code = -32002

func (s *server) welcome(method string) bool {
	if method == "initialize" || method == "exit" {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialized
}

func (s *server) notification(ctx context.Context, method string, h jsonrpc2.Handler, req *jsonrpc2.Request) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a notification", "method", method, "panic", r)
		}
	}()
	if method == protocol.MethodCancelRequest {
		s.cancel(req)
		return
	}
	if isCustom(method) {
		if _, err := s.custom(ctx, method, req.Params(), func() {}); err != nil && !errors.Is(err, jsonrpc2.ErrMethodNotFound) {
			s.log.Warn("notification failed", "method", method, "error", err)
		}
		return
	}
	if _, err := h(ctx, req); err != nil && !errors.Is(err, jsonrpc2.ErrMethodNotFound) && !errors.Is(err, context.Canceled) {
		s.log.Warn("notification failed", "method", method, "error", err)
	}
}

// cancel ends the context of a call that is under way.
func (s *server) cancel(req *jsonrpc2.Request) {
	var p protocol.CancelParams
	if protocol.Unmarshal(req.Params(), &p) != nil {
		return
	}
	var id jsonrpc2.ID
	switch x := p.ID.(type) {
	case protocol.Integer:
		id = jsonrpc2.NewNumberID(int64(x))
	case protocol.String:
		id = jsonrpc2.NewStringID(string(x))
	}
	if f, ok := s.calls.Load(fmt.Sprint(id)); ok {
		f.(context.CancelFunc)()
	}
}

func (s *server) guarded(ctx context.Context, method string, h jsonrpc2.Handler, req *jsonrpc2.Request, release func()) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a request", "method", method, "panic", r)
			result, err = nil, jsonrpc2.Errorf(jsonrpc2.InternalError, "internal error in %s: %v", method, r)
		}
	}()
	if isCustom(method) {
		return s.custom(ctx, method, req.Params(), release)
	}
	if len(req.Params()) == 0 && !strings.HasPrefix(method, "textDocument/") && !strings.HasPrefix(method, "workspace/") &&
		method != "shutdown" && method != "initialize" {
		return nil, fmt.Errorf("%q: %w", method, jsonrpc2.ErrMethodNotFound) // the library would call it unreadable
	}
	if method == protocol.MethodTextDocumentCodeLens && len(req.Params()) > 0 {
		return s.codeLens(req.Params())
	}
	return h(ctx, req)
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.folders {
		f.closed = true
		f.close()
	}
	if s.outputs != "" {
		os.RemoveAll(s.outputs)
	}
}
