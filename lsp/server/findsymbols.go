package server

import (
	"context"
	"slices"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// maxSymbols bounds an answer: nobody reads further.
const maxSymbols = 500

// Symbols finds tests by a part of their names, and fixtures of the conftests
// and open files.
func (s *server) Symbols(ctx context.Context, p *protocol.WorkspaceSymbolParams) (protocol.WorkspaceSymbolResult, error) {
	out := protocol.SymbolInformationSlice{}
	query := strings.ToLower(p.Query)
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	open := map[string]bool{}
	for path := range s.docs {
		open[path] = true
	}
	s.mu.Unlock()
	for _, f := range folders {
		if f.implicit {
			continue
		}
		if err := s.testSymbols(ctx, f, query, open, &out); err != nil {
			return nil, err
		}
		s.fixtureSymbols(ctx, f, query, open, &out)
	}
	return out, ctx.Err()
}

// matches reports whether a query's letters stand in a name, in their order.
func matches(query, name string) bool {
	for _, c := range strings.ToLower(name) {
		if query == "" {
			return true
		}
		if strings.HasPrefix(query, string(c)) {
			query = query[len(string(c)):]
		}
	}
	return query == ""
}

func (s *server) testSymbols(ctx context.Context, f *folder, query string, open map[string]bool, out *protocol.SymbolInformationSlice) error {
	suite, err := f.ws.Disk().Suite()
	if err != nil {
		return nil // the status says it
	}
	root := f.rootOf()
	seen := map[string]bool{}
	add := func(it *pytest.Item, l *lines) {
		name := strings.TrimPrefix(names(it), "::")
		bare := pytest.Bare(it.ID)
		if name == "" || seen[bare] || !matches(query, name) || len(*out) >= maxSymbols {
			return
		}
		seen[bare] = true
		container := f.refOf(root, key{path: it.Path}).ID
		r := protocol.Range{Start: protocol.Position{Line: it.Head - 1}, End: protocol.Position{Line: it.Head - 1}}
		if l != nil && it.Source == it.Path {
			r = s.span(l, it.Head-1, it.Col, len(nameOf(it)))
		}
		*out = append(*out, protocol.SymbolInformation{
			BaseSymbolInformation: protocol.BaseSymbolInformation{
				Name: strings.ReplaceAll(name, "::", "."), Kind: protocol.SymbolKindMethod, ContainerName: &container,
			},
			Location: protocol.Location{URI: s.uriOf(it.Source), Range: r},
		})
	}
	for _, it := range suite.Items {
		if !open[it.Path] {
			add(it, nil)
		}
	}
	for path := range open {
		s.mu.Lock()
		own := s.folderOf(path) == f
		s.mu.Unlock()
		if v, _, err := s.view(path); own && err == nil {
			l := newLines(v.Text)
			for _, it := range v.Items {
				add(it, l)
			}
		}
	}
	return ctx.Err()
}

func (s *server) fixtureSymbols(ctx context.Context, f *folder, query string, open map[string]bool, out *protocol.SymbolInformationSlice) {
	snap := f.ws.Apply(workspace.Update{})
	root := f.rootOf()
	for _, path := range s.sources(f) {
		if !open[path] && !strings.HasSuffix(path, "conftest.py") || ctx.Err() != nil || len(*out) >= maxSymbols {
			continue
		}
		v, err := snap.View(path)
		if err != nil {
			continue
		}
		l := s.linesOf(path)
		for i := range v.Names.Users {
			u := &v.Names.Users[i]
			if u.Fixture == "" || !matches(query, u.Fixture) {
				continue
			}
			container := f.refOf(root, key{path: path}).ID
			*out = append(*out, protocol.SymbolInformation{
				BaseSymbolInformation: protocol.BaseSymbolInformation{Name: u.Fixture, Kind: protocol.SymbolKindEvent, ContainerName: &container},
				Location:              protocol.Location{URI: s.uriOf(path), Range: s.span(l, u.Head, u.Col, len(u.Name))},
			})
		}
	}
}
