package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// The commands of workspace/executeCommand.
const (
	// commandRun runs what its argument {uri, name} names: a file, or with
	// name = "::Class::test" a part of it.
	commandRun = "dx-py.server.run"
	// commandRunAtCursor runs the test around {uri, line}, a 0-based line; the
	// file when there is none.
	commandRunAtCursor = "dx-py.server.runAtCursor"
	// commandCancel cancels all runs.
	commandCancel = "dx-py.server.cancel"
)

// requestFailed is LSP's code for a request that is right and cannot be done.
const requestFailed jsonrpc2.Code = -32803

// runArgument is the one argument of the commands.
type runArgument struct {
	URI  uri.URI `json:"uri"`
	Name string  `json:"name,omitempty"`
	Line *uint32 `json:"line,omitempty"`
}

func runArguments(u uri.URI, name string) []protocol.LSPAny {
	b, err := json.Marshal(runArgument{URI: u, Name: name})
	if err != nil {
		return nil
	}
	return []protocol.LSPAny{b}
}

// trusts reads initializationOptions: {"trusted": true}.
func trusts(options []byte) bool {
	var o struct{ Trusted bool }
	return len(options) > 0 && json.Unmarshal(options, &o) == nil && o.Trusted
}

// ExecuteCommand runs tests. It answers when the run has ended: what happens
// meanwhile is seen in lenses and diagnostics.
func (s *server) ExecuteCommand(ctx context.Context, p *protocol.ExecuteCommandParams) (protocol.LSPAny, error) {
	if p.Command == commandCancel {
		s.cancelRuns()
		return nil, nil
	}
	if p.Command != commandRun && p.Command != commandRunAtCursor {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "unknown command %s", p.Command)
	}
	var a runArgument
	if len(p.Arguments) != 1 || json.Unmarshal(p.Arguments[0], &a) != nil {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%s takes one argument, {uri, name} or {uri, line}", p.Command)
	}
	path, ok := pathOf(a.URI)
	if !ok {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%s is no file", a.URI)
	}
	if !s.trusted {
		return nil, jsonrpc2.Errorf(requestFailed, "this workspace is not trusted yet, so no Python is started; "+
			"trust it with the initialization option {\"trusted\": true}")
	}
	if p.Command == commandRunAtCursor && a.Line != nil {
		v, _, err := s.view(path)
		if err != nil {
			return nil, err
		}
		a.Name = around(v, *a.Line)
	}
	return s.runTests(ctx, path, a.Name)
}

// around names the innermost test or class that a row is in.
func around(v *workspace.View, row uint32) string {
	best, name := uint32(0), ""
	for _, it := range v.Items {
		if it.Source == v.Path && row+1 >= it.Line && row+1 <= it.EndLine && it.Line > best {
			best, name = it.Line, names(it)
		}
	}
	return name
}

// runTests runs a file, or a part of it, as it is on disk.
func (s *server) runTests(ctx context.Context, path, name string) (protocol.LSPAny, error) {
	s.mu.Lock()
	doc := s.docs[path]
	w := s.workspaceOf(path)
	runs := s.runs
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	if doc != nil {
		if disk, err := os.ReadFile(path); err != nil || !bytes.Equal(disk, doc.text) {
			s.say(ctx, protocol.MessageTypeWarning, fmt.Sprintf("%s is not saved; the file on disk is run", filepath.Base(path)))
		}
	}
	cfg, env, err := w.Apply(workspace.Update{}).Configure()
	if err != nil {
		return nil, err
	}
	runs, cancel := context.WithCancelCause(runs)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { cancel(run.Interrupted) }) // $/cancelRequest
	defer stop()
	collect := &collector{server: s, root: cfg.Root}
	s.results.begin(path, name)
	s.redraw(ctx)
	status, err := s.engine.Run(runs, engine.Request{
		Env: env, Dir: cfg.Dir, Root: cfg.Root, Vars: variables(s.opts.Env), Args: []string{path + name}, State: s.opts.StateDir, Texts: true,
	}, collect)
	s.results.end(path, name)
	s.due()
	s.redraw(ctx)
	if err != nil && runs.Err() == nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"status": status, "totals": collect.totals})
}

// cancelRuns cancels all runs; those that come later are not concerned.
func (s *server) cancelRuns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopRuns(run.Interrupted)
	s.runs, s.stopRuns = context.WithCancelCause(s.base)
}

func (s *server) say(ctx context.Context, kind protocol.MessageType, text string) {
	if err := s.client.ShowMessage(ctx, &protocol.ShowMessageParams{Type: kind, Message: text}); err != nil && ctx.Err() == nil {
		s.log.Warn("showing a message", "error", err)
	}
}

// redraw asks the client for new lenses, where it can be asked.
func (s *server) redraw(ctx context.Context) {
	if s.refresh {
		if err := s.client.CodeLensRefresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("refreshing lenses", "error", err)
		}
	}
}

// variables are an environment as a process is given it.
func variables(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// collector is the sink of one run.
type collector struct {
	server *server
	root   string
	totals map[string]int
}

// Event keeps results, by the file that the test is collected from.
func (c *collector) Event(e run.Event) {
	switch {
	case e.Test != nil:
		file, name, _ := strings.Cut(e.Test.ID, "::")
		c.server.results.add(filepath.Join(c.root, filepath.FromSlash(file)), "::"+name, e.Test)
	case e.Ended != nil:
		c.totals = map[string]int{}
		for o, n := range e.Ended.Totals {
			c.totals[o.String()] = n
		}
	}
}
