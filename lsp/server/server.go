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
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Options are what the process knows before a client speaks.
type Options struct {
	Version  string
	Env      map[string]string
	StateDir string
	Log      *slog.Logger // nil: errors to standard error
}

// GCPercent is the garbage collector's setting for a process that serves: from
// key to lens on a file of 5,000 lines the 95th percentile is 11 ms at 100
// percent and 8 at 300, for some 30 MB more.
const GCPercent = 300

// Serve speaks LSP on a pair of streams until the client says exit, goes away
// or ctx ends. Its error is why the connection broke; none after exit.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		opts: o, docs: map[string]*document{}, roots: map[string]*workspace.Workspace{}, exited: make(chan struct{}),
		dirty: make(chan struct{}, 1), log: o.Log,
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	defer s.close()
	stream := jsonrpc2.NewHeaderStream(pipe{in, out})
	s.conn = jsonrpc2.NewConn(stream, jsonrpc2.WithCodec(codec{}))
	s.client = protocol.ClientDispatcher(s.conn)
	s.base = ctx
	s.runs, s.stopRuns = context.WithCancelCause(ctx)
	var workers sync.WaitGroup
	workers.Add(1)
	go func() {
		defer workers.Done()
		s.publish(ctx)
	}()
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
	s.running.Wait()
	s.conn.Close()
	workers.Wait()
	return err
}

// pipe joins the two streams. Closing it closes the reader where it can be
// closed: the connection's read loop ends with it.
type pipe struct {
	io.Reader
	io.Writer
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

	mu          sync.Mutex
	initialized bool
	utf8        bool // positions are bytes instead of UTF-16 units
	folders     []string
	roots       map[string]*workspace.Workspace // by folder
	docs        map[string]*document            // open, by path

	dirty chan struct{} // one slot: diagnostics are due

	engine   engine.Engine
	trusted  bool // the user allows this workspace's code to run
	refresh  bool // the client redraws lenses when asked to
	results  results
	running  sync.WaitGroup
	stopRuns context.CancelCauseFunc
	runs     context.Context // of the runs under way, ended by cancelRuns
	base     context.Context // of the server
}

// ordered runs notifications inline, in wire order, and calls beside them.
// Neither an error of a notification nor a panic ends the connection.
//
// The library's own CancelHandler is not used: it derives a context from the
// request's, whose memory is used again as soon as the request is answered,
// and a goroutine of package context may look at it after that.
func (s *server) ordered(h jsonrpc2.Handler) jsonrpc2.Handler {
	return func(ctx context.Context, req *jsonrpc2.Request) (any, error) {
		method := string(req.Method())
		if !req.IsCall() {
			s.notification(jsonrpc2.DetachContext(ctx), method, h, req)
			return nil, nil
		}
		if method != "initialize" && method != "shutdown" { // these change state: in order
			jsonrpc2.Async(ctx)
		}
		call, cancel := context.WithCancel(jsonrpc2.DetachContext(ctx))
		defer cancel()
		id := fmt.Sprint(req.ID())
		s.calls.Store(id, cancel)
		defer s.calls.Delete(id)
		return s.guarded(call, method, h, req)
	}
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

func (s *server) guarded(ctx context.Context, method string, h jsonrpc2.Handler, req *jsonrpc2.Request) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a request", "method", method, "panic", r)
			result, err = nil, jsonrpc2.Errorf(jsonrpc2.InternalError, "internal error in %s: %v", method, r)
		}
	}()
	if len(req.Params()) == 0 && !strings.HasPrefix(method, "textDocument/") && !strings.HasPrefix(method, "workspace/") &&
		method != "shutdown" && method != "initialize" {
		return nil, fmt.Errorf("%q: %w", method, jsonrpc2.ErrMethodNotFound) // the library would call it unreadable
	}
	return h(ctx, req)
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.roots {
		w.Close()
	}
	s.engine.Close()
}

// Initialize settles the position encoding and the folders.
func (s *server) Initialize(ctx context.Context, p *protocol.InitializeParams) (*protocol.InitializeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialized {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidRequest, "initialize was sent twice")
	}
	s.initialized = true
	encoding := protocol.PositionEncodingKindUTF16
	if g := p.Capabilities.General; g != nil {
		for _, e := range g.PositionEncodings {
			if e == protocol.PositionEncodingKindUTF8 {
				encoding, s.utf8 = e, true
			}
		}
	}
	s.folders = foldersOf(p)
	s.trusted = trusts(p.InitializationOptions)
	if w := p.Capabilities.Workspace; w != nil && w.CodeLens != nil && w.CodeLens.RefreshSupport != nil {
		s.refresh = *w.CodeLens.RefreshSupport
	}
	if p.ProcessID != nil {
		go s.watchParent(int(*p.ProcessID))
	}
	change := protocol.TextDocumentSyncKindIncremental
	yes, no := true, false
	return &protocol.InitializeResult{
		Capabilities: protocol.ServerCapabilities{
			PositionEncoding:       encoding,
			TextDocumentSync:       &protocol.TextDocumentSyncOptions{OpenClose: &yes, Change: &change},
			CodeLensProvider:       &protocol.CodeLensOptions{ResolveProvider: &no},
			DocumentSymbolProvider: protocol.Boolean(true),
			ExecuteCommandProvider: protocol.ExecuteCommandOptions{Commands: []string{commandRun, commandRunAtCursor, commandCancel}},
		},
		ServerInfo: protocol.ServerInfo{Name: "dx-py-ls", Version: protocol.NewOptional(s.opts.Version)},
	}, nil
}

// Initialized does nothing: nothing is registered dynamically.
func (s *server) Initialized(context.Context, *protocol.InitializedParams) error { return nil }

// SetTrace is accepted and has no effect.
func (s *server) SetTrace(context.Context, *protocol.SetTraceParams) error { return nil }

// DidChangeConfiguration is accepted: there are no settings yet.
func (s *server) DidChangeConfiguration(context.Context, *protocol.DidChangeConfigurationParams) error {
	return nil
}

// DidSave tells that files on disk changed.
func (s *server) DidSave(context.Context, *protocol.DidSaveTextDocumentParams) error {
	s.diskChanged()
	return nil
}

// DidChangeWatchedFiles tells that files on disk changed.
func (s *server) DidChangeWatchedFiles(context.Context, *protocol.DidChangeWatchedFilesParams) error {
	s.diskChanged()
	return nil
}

func (s *server) diskChanged() {
	s.mu.Lock()
	for _, w := range s.roots {
		w.Apply(workspace.Update{Disk: true})
	}
	s.mu.Unlock()
	s.due()
}

// Shutdown prepares for exit: there is nothing to save.
func (s *server) Shutdown(context.Context) error { return nil }

// Exit ends the server.
func (s *server) Exit(context.Context) error {
	s.once.Do(func() { close(s.exited) })
	return nil
}

// Request answers methods that LSP does not have.
func (s *server) Request(_ context.Context, method string, _ any) (any, error) {
	return nil, fmt.Errorf("%q: %w", method, jsonrpc2.ErrMethodNotFound)
}

// workspaceOf returns the workspace of the folder that holds a file, the
// innermost; a file outside of all folders gets one for its own folder.
func (s *server) workspaceOf(path string) *workspace.Workspace {
	best := ""
	for _, f := range s.folders {
		if _, in := file.Rel(f, path); in && len(f) > len(best) {
			best = f
		}
	}
	if best == "" {
		best = dirOf(path)
	}
	w := s.roots[best]
	if w == nil {
		w = workspace.New(workspace.Settings{Dir: best, Env: s.opts.Env, StateDir: s.opts.StateDir})
		s.roots[best] = w
	}
	return w
}

// view returns what a file holds in the newest Snapshot, and its document.
func (s *server) view(path string) (*workspace.View, *document, error) {
	s.mu.Lock()
	w := s.workspaceOf(path)
	snap := w.Apply(workspace.Update{})
	doc := s.docs[path]
	s.mu.Unlock()
	v, err := snap.View(path)
	return v, doc, err
}
