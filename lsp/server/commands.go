package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// The commands of workspace/executeCommand. Those with an argument take one,
// {uri, name} or {uri, line}: a file, with name = "::Class::test" a part of
// it, with a 0-based line the test around it.
const (
	commandRun            = "dx-py.server.run"
	commandDebug          = "dx-py.server.debug"       // run, in a process that waits for a debugger
	commandRunAtCursor    = "dx-py.server.runAtCursor" // the file when there is no test around the line
	commandRerunFailed    = "dx-py.server.rerunFailed" // without an argument: in all folders
	commandRunAffected    = "dx-py.server.runAffected" // what is due of it; without an argument: in all folders
	commandRunCovering    = "dx-py.server.runCovering" // the tests that cover a line, {uri, line}
	commandRunCoverage    = "dx-py.server.runWithCoverage"
	commandGoToCovered    = "dx-py.server.goToCovered"    // opens the code that a test covers
	commandExplain        = "dx-py.server.explain"        // what is known of a test
	commandShowOutput     = "dx-py.server.showOutput"     // what a test printed, as a document
	commandCancel         = "dx-py.server.cancel"         // all runs; no argument
	commandRestartWorkers = "dx-py.server.restartWorkers" // ends all Python processes; no argument
)

var commands = []string{
	commandRun, commandDebug, commandRunAtCursor, commandRunAffected, commandRerunFailed, commandRunCovering, commandRunCoverage, commandGoToCovered, commandExplain, commandShowOutput, commandCancel, commandRestartWorkers,
}

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

// ExecuteCommand answers when the run has ended: what happens meanwhile is
// seen in lenses, diagnostics and progress.
func (s *server) ExecuteCommand(ctx context.Context, p *protocol.ExecuteCommandParams) (protocol.LSPAny, error) {
	if !slices.Contains(commands, p.Command) {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "unknown command %s", p.Command)
	}
	var a runArgument
	if len(p.Arguments) > 0 && json.Unmarshal(p.Arguments[0], &a) != nil || len(p.Arguments) > 1 {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%s takes one argument, {uri, name} or {uri, line}", p.Command)
	}
	switch p.Command {
	case commandCancel:
		s.runs.cancel("")
		return nil, nil
	case commandRestartWorkers:
		return nil, s.restartWorkers(ctx)
	case commandRunAffected:
		return s.runAffected(ctx, p, a)
	case commandRerunFailed:
		return s.rerunFailed(ctx, p, a)
	}
	path, ok := pathOf(a.URI)
	if !ok {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidParams, "%s takes one argument, {uri, name} or {uri, line}: %q is no file", p.Command, a.URI)
	}
	if p.Command == commandRunCovering {
		return s.runCovering(ctx, p, path, a.Line)
	}
	if a.Line != nil && a.Name == "" {
		if v, _, err := s.view(path); err == nil {
			a.Name = around(v, *a.Line)
		}
	}
	s.mu.Lock()
	f := s.folderOf(path)
	s.mu.Unlock()
	k := key{path, a.Name}
	switch p.Command {
	case commandExplain:
		return s.explainAloud(ctx, f, k)
	case commandShowOutput:
		return s.showOutput(ctx, k)
	case commandGoToCovered:
		return s.goToCovered(ctx, k)
	}
	if why := s.unsaved(f, k); why != "" {
		return nil, jsonrpc2.Errorf(requestFailed, "%s", why)
	}
	pt := &part{folder: f}
	switch p.Command {
	case commandDebug:
		pt.kind = debugKind
	case commandRunCoverage:
		pt.kind = coverageKind
	}
	pt.add(k, f.rootOf())
	return s.runParts(ctx, p, []*part{pt})
}

// runParts runs and answers when all has ended.
func (s *server) runParts(ctx context.Context, p *protocol.ExecuteCommandParams, parts []*part) (protocol.LSPAny, error) {
	r, err := s.open("")
	if err != nil {
		return nil, err
	}
	if err := s.prepare(r, parts); err != nil {
		s.closeRun(r)
		r.announce.drop()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { r.cancel(run.Interrupted) }) // $/cancelRequest
	defer stop()
	r.progress = s.begin(p.WorkDoneToken, "Running tests", func() { r.cancel(run.Interrupted) })
	if err := s.execute(r); err != nil {
		return nil, jsonrpc2.Errorf(requestFailed, "%v", err)
	}
	// Diagnostics come before the answer: Emacs 28 drops, until the next
	// message, what comes with the answer that it waits for.
	if err := s.synchronize(ctx, &testproto.SynchronizeParams{Discovery: true}); err != nil {
		return nil, err
	}
	if p.Command == commandRunCoverage && context.Cause(r.ctx) != run.Interrupted {
		s.tellCoverage(ctx, r.id)
	}
	return r.answer()
}

// rerunFailed runs what failed when it last ran: in the folder of the
// argument, or everywhere.
func (s *server) rerunFailed(ctx context.Context, p *protocol.ExecuteCommandParams, a runArgument) (protocol.LSPAny, error) {
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	if path, ok := pathOf(a.URI); ok {
		folders = []*folder{s.folderOf(path)}
	}
	s.mu.Unlock()
	var parts []*part
	for _, f := range folders {
		pt := &part{folder: f}
		for _, k := range s.results.bad(f.path) {
			s.mu.Lock()
			own := s.folderOf(k.path) == f
			s.mu.Unlock()
			if own && s.unsaved(f, k) == "" {
				pt.add(k, "")
			}
		}
		if len(pt.keys) > 0 {
			parts = append(parts, pt)
		}
	}
	if len(parts) == 0 {
		return json.Marshal(map[string]any{"status": 0, "totals": map[string]int{}})
	}
	return s.runParts(ctx, p, parts)
}

// restartWorkers ends all Python processes: the next run starts new ones.
func (s *server) restartWorkers(ctx context.Context) error {
	s.runs.cancel("")
	s.runs.wait(ctx)
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	for _, f := range folders {
		f.engine().Close()
		f.ws.Apply(workspace.Update{Disk: true})
	}
	s.nestAll() // a virtual environment may have come, of which no event tells
	return ctx.Err()
}

// around names the innermost test or class that a row is in.
func around(v *workspace.View, row uint32) string {
	best, name := uint32(0), ""
	for _, it := range v.Items {
		if it.Source == v.Path && row+1 >= it.Line && row+1 <= it.EndLine && it.Line > best {
			best, name = it.Line, names(it)
		}
	}
	for _, c := range classSpots(v) {
		if row >= c.row && row <= c.end && c.row+1 > best {
			best, name = c.row+1, c.name
		}
	}
	return name
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// showOutput opens what the tests of a key printed, and why they failed: plain
// LSP has no other place for it.
func (s *server) showOutput(ctx context.Context, k key) (protocol.LSPAny, error) {
	text := s.results.output(k)
	if text == "" {
		return nil, jsonrpc2.Errorf(requestFailed, "%s%s has not run yet", filepath.Base(k.path), k.name)
	}
	s.mu.Lock()
	if s.outputs == "" {
		dir, err := os.MkdirTemp("", "dx-py-output-")
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.outputs = dir
	}
	name := strings.Trim(notInNames.ReplaceAllString(filepath.Base(k.path)+k.name, "-"), "-")
	path := filepath.Join(s.outputs, name[:min(len(name), 120)]+".txt")
	show := s.can.showDocument
	s.mu.Unlock()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	u := uri.File(path)
	if show {
		focus := true
		if _, err := s.client.ShowDocument(ctx, &protocol.ShowDocumentParams{URI: u, TakeFocus: &focus}); err != nil {
			return nil, err
		}
	} else {
		s.say(ctx, protocol.MessageTypeInfo, "the output is in "+path)
	}
	return json.Marshal(map[string]any{"uri": u})
}

// output is what the tests of a key printed when they last ran.
func (r *results) output(k key) string {
	all := r.under(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	if f := r.files[k.path]; f != nil && f.broken != nil {
		b.WriteString(strings.TrimLeft(f.broken.text, "\n"))
	}
	for _, t := range all {
		fmt.Fprintf(&b, "%s  %s  %s\n", t.ID, t.Outcome, duration(t.Seconds()))
		if t.Text != "" {
			b.WriteString("\n" + ended(t.Text))
		} else if t.Message != "" {
			b.WriteString("\n" + ended(t.Message))
		}
		for _, sec := range t.Sections {
			fmt.Fprintf(&b, "\n-- %s --\n%s", sec.Title, ended(sec.Text))
		}
		for _, sub := range t.Subtests {
			fmt.Fprintf(&b, "\nsubtest %s  %s\n%s", subtestLabel(sub), sub.Outcome, ended(sub.Text))
		}
		b.WriteString("\n")
	}
	return b.String()
}
