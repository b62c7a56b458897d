package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// due says that diagnostics must be computed again. It never blocks: one
// pending request stands for all.
func (s *server) due() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// publish sends the problems of the open documents whenever they are due,
// until ctx ends. What was sent last is not sent again.
func (s *server) publish(ctx context.Context) {
	sent := map[string]string{} // path -> what the client has, as text
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		s.mu.Lock()
		open := make([]*document, 0, len(s.docs))
		for _, d := range s.docs {
			open = append(open, d)
		}
		s.mu.Unlock()
		slices.SortFunc(open, func(a, b *document) int {
			if a.path < b.path {
				return -1
			}
			return 1
		})
		current := map[string]bool{}
		for _, d := range open {
			current[d.path] = true
			v, doc, err := s.view(d.path)
			if doc == nil || doc.version != d.version {
				continue // closed or changed meanwhile: due again
			}
			diags := []protocol.Diagnostic{}
			if err == nil {
				diags = append(s.diagnostics(v), s.failures(v)...)
			}
			text := fingerprint(diags)
			if old, known := sent[d.path]; known && old == text || !known && len(diags) == 0 {
				sent[d.path] = text
				continue
			}
			sent[d.path] = text
			params := &protocol.PublishDiagnosticsParams{URI: d.uri, Version: protocol.NewOptional(d.version), Diagnostics: diags}
			if err := s.client.PublishDiagnostics(ctx, params); err != nil && ctx.Err() == nil {
				s.log.Warn("publishing diagnostics", "error", err)
			}
		}
		for p := range sent {
			if !current[p] {
				delete(sent, p) // DidClose has cleared them
			}
		}
	}
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

func (s *server) diagnostics(v *workspace.View) []protocol.Diagnostic {
	l := newLines(v.Text)
	out := []protocol.Diagnostic{}
	for _, p := range v.Problems {
		row := min(p.Row, uint32(len(l.start)-1))
		out = append(out, protocol.Diagnostic{
			Range: s.rows(l, row, row), Severity: protocol.DiagnosticSeverityWarning, Source: protocol.NewOptional("dx-py"),
			Message: protocol.String(p.Message),
		})
	}
	return out
}
