package server

import (
	"context"
	"fmt"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Hover tells of a fixture at its uses, and of a test at its head: its cases
// and how they ended.
func (s *server) Hover(_ context.Context, p *protocol.HoverParams) (*protocol.Hover, error) {
	c := s.at(p.TextDocumentPositionParams)
	if c == nil {
		return nil, nil
	}
	text := ""
	if f := c.fixture(); f != nil {
		text = fmt.Sprintf("**%s** — %s", f.Name, describe(f))
		if f.Path != "" {
			text += fmt.Sprintf("\n\ndefined in %s, line %d", relativeName(s, c.v.Path, f.Path), f.Head+1)
		}
		if len(f.Args) > 0 {
			text += "\n\nasks for " + strings.Join(f.Args, ", ")
		}
	} else {
		if text = s.hoverTest(c.v, c.row); text == "" {
			text = s.hoverCode(c.v, c.row)
		}
	}
	if text == "" {
		return nil, nil
	}
	r := s.span(c.l, c.row, c.start, len(c.word))
	return &protocol.Hover{Contents: &protocol.MarkupContent{Kind: protocol.MarkupKindMarkdown, Value: text}, Range: &r}, nil
}

func relativeName(s *server, from, path string) string {
	s.mu.Lock()
	f := s.folderOf(from)
	s.mu.Unlock()
	return f.refOf(f.rootOf(), key{path: path}).ID
}

// maxHover is how many cases are told one by one.
const maxHover = 12

// maxReasons is how many reasons to run a test are told: its cases share most.
const maxReasons = 3

// hoverTest tells of the test whose decorators or def stand on a row.
func (s *server) hoverTest(v *workspace.View, row uint32) string {
	name, n := "", 0
	reason := pytest.Exact
	for _, it := range v.Items {
		if it.Source == v.Path && row+1 >= it.Line && row+1 <= it.Head {
			if name == "" {
				name, reason = names(it), it.Reason
			}
			if names(it) == name {
				n++
			}
		}
	}
	if name == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**", strings.TrimPrefix(name, "::"))
	switch {
	case reason == pytest.Conditional:
		b.WriteString(" — runs if its condition holds")
	case reason != pytest.Exact:
		fmt.Fprintf(&b, " — cases known at run time (%s)", reason)
	case n > 1:
		fmt.Fprintf(&b, " — %d cases", n)
	}
	last := s.results.under(key{v.Path, name})
	if len(last) == 0 {
		b.WriteString("\n\nnot run yet")
		return b.String()
	}
	for i, t := range last {
		if i == maxHover {
			fmt.Fprintf(&b, "\n- and %d more", len(last)-i)
			break
		}
		name := strings.TrimPrefix(t.ID, pytest.ParseID(t.ID).Path)
		_, stale := s.results.of(v.Path, name)
		at := ""
		if why := s.results.because(v.Path, name); why != "" {
			at = "; since then " + why
		} else if stale {
			at = ", before the last edit"
		}
		id := pytest.ParseID(t.ID)
		fmt.Fprintf(&b, "\n- %s%s: %s, %s%s", id.Names[len(id.Names)-1], id.Case, t.Outcome, duration(t.Seconds()), at)
		if t.Outcome.Bad() && t.Message != "" {
			first, _, _ := strings.Cut(t.Message, "\n")
			fmt.Fprintf(&b, "\n  `%s`", strings.ReplaceAll(first, "`", "'"))
		}
	}
	s.mu.Lock()
	f := s.folderOf(v.Path)
	s.mu.Unlock()
	reasons := s.dueReasons(f, key{v.Path, name})
	for _, x := range reasons[:min(len(reasons), maxReasons)] {
		b.WriteString("\n\n" + x.Text)
	}
	return b.String()
}
