package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// problems sends the diagnostics of one document: one merged set, cleared by
// an empty one.
func (p *publisher) problems(ctx context.Context, d *document) {
	s := p.s
	v, doc, err := s.view(d.path)
	if doc != d {
		return // closed or changed meanwhile: due again
	}
	diags := []protocol.Diagnostic{}
	if err == nil {
		diags = append(diags, s.diagnostics(v)...)
		if s.showsFailures(d.path) {
			diags = append(diags, s.failures(d)...)
		}
	}
	p.send(ctx, d.path, d.uri, protocol.NewOptional(d.version), diags)
}

// clear takes away the diagnostics of a document that is closed.
func (p *publisher) clear(ctx context.Context, path string) {
	p.send(ctx, path, p.diagnostics[path].uri, protocol.Optional[int32]{}, []protocol.Diagnostic{})
	delete(p.diagnostics, path)
}

// sent is what the client has: the publisher alone sends diagnostics.
type sent struct {
	uri  uri.URI
	text string
}

func (p *publisher) send(ctx context.Context, path string, u uri.URI, version protocol.Optional[int32], diags []protocol.Diagnostic) {
	text := fingerprint(diags)
	old, known := p.diagnostics[path]
	p.diagnostics[path] = sent{u, text}
	if known && old.text == text && old.uri == u || !known && len(diags) == 0 {
		return
	}
	params := &protocol.PublishDiagnosticsParams{URI: u, Version: version, Diagnostics: diags}
	if err := p.s.client.PublishDiagnostics(ctx, params); err != nil && ctx.Err() == nil {
		p.s.log.Warn("publishing diagnostics", "error", err)
	}
}

// showsFailures says whether failures are diagnostics: not where the client
// draws results itself, unless the user wants them.
func (s *server) showsFailures(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.folderOf(path).settings.Diagnostics.Failures; set != nil {
		return *set
	}
	return !s.can.tests
}

func sortDiagnostics(ds []protocol.Diagnostic) {
	slices.SortFunc(ds, func(a, b protocol.Diagnostic) int {
		if c := cmp.Compare(a.Range.Start.Line, b.Range.Start.Line); c != 0 {
			return c
		}
		return cmp.Compare(fmt.Sprint(a.Message), fmt.Sprint(b.Message))
	})
}

func fingerprint(ds []protocol.Diagnostic) string {
	b, err := protocol.Marshal(ds)
	if err != nil {
		return ""
	}
	return string(b)
}

// problemSource names who found a problem.
const problemSource = "dx-py"

func (s *server) diagnostics(v *workspace.View) []protocol.Diagnostic {
	l := newLines(v.Text)
	out := []protocol.Diagnostic{}
	add := func(r protocol.Range, message string) {
		out = append(out, protocol.Diagnostic{
			Range: r, Severity: protocol.DiagnosticSeverityWarning, Source: protocol.NewOptional(problemSource), Message: protocol.String(message),
		})
	}
	for _, p := range v.Problems {
		row := min(p.Row, uint32(len(l.start)-1))
		add(s.rows(l, row, row), p.Message)
	}
	for _, d := range shadowed(v) {
		add(s.span(l, d.row, d.col, len(d.name)), fmt.Sprintf("%s is defined again in line %d: pytest sees only the last", d.name, d.again+1))
	}
	out = append(out, s.missing(v, l)...)
	sortDiagnostics(out)
	return out
}

// failures are diagnostics for what failed in a file, at the line of the
// file's own frame, where the buffer has it now.
func (s *server) failures(d *document) []protocol.Diagnostic {
	s.results.mu.Lock()
	f := s.results.files[d.path]
	if f == nil {
		s.results.mu.Unlock()
		return nil
	}
	type failure struct {
		line    int
		message string
		frames  []frameLine
		ran     *source
		stale   bool
		folder  *folder
	}
	var all []failure
	if b := f.broken; b != nil {
		all = append(all, failure{line: b.line, message: b.message, ran: b.ran, stale: f.stale(b.ran)})
	}
	for name, t := range f.tests {
		if t.Outcome.Bad() && !t.restored { // of those no line is known
			if t.frames == nil {
				t.frames = framesOf(t.Text)
			}
			all = append(all, failure{t.FailLine, strings.TrimPrefix(name, "::") + ": " + t.Message, t.frames, t.ran, f.outdated(name), t.folder})
		}
	}
	s.results.mu.Unlock()
	l := newLines(d.text)
	v := &sights{s: s}
	var out []protocol.Diagnostic
	for _, x := range all {
		row := uint32(max(x.line, 1) - 1)
		if x.ran != nil && x.ran.text != nil {
			row = v.from(x.ran.text, d.text, row)
		}
		row = min(row, uint32(len(l.start)-1))
		diag := protocol.Diagnostic{
			Range: s.rows(l, row, row), Severity: protocol.DiagnosticSeverityError, Source: protocol.NewOptional(problemSource),
			Message: protocol.String(x.message),
		}
		if x.stale {
			diag.Severity = protocol.DiagnosticSeverityInformation
			diag.Message = protocol.String(x.message + " (before the edit)")
		}
		if x.folder != nil {
			diag.RelatedInformation = related(v.stack(x.folder, x.frames))
		}
		out = append(out, diag)
	}
	sortDiagnostics(out)
	return out
}

func related(frames []testproto.Frame) []protocol.DiagnosticRelatedInformation {
	var out []protocol.DiagnosticRelatedInformation
	for _, f := range frames {
		if f.Location == nil {
			continue
		}
		out = append(out, protocol.DiagnosticRelatedInformation{
			Location: protocol.Location{URI: uri.URI(f.Location.URI), Range: toRange(f.Location.Range)}, Message: f.Label,
		})
	}
	return out
}

func toRange(r testproto.Range) protocol.Range {
	return protocol.Range{
		Start: protocol.Position{Line: r.Start.Line, Character: r.Start.Character},
		End:   protocol.Position{Line: r.End.Line, Character: r.End.Character},
	}
}
