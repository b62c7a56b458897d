package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/workspace"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// function is one that tests have run, in a file on disk.
type function struct {
	path   string
	def    pysrc.Stmt
	name   string
	text   []byte // of the file
	lines  int    // statements of it that they ran
	others int    // tests that ran the one that fewest others ran
}

// functions are those that the tests of a key have run when they last ran with
// coverage, outside of their own file; first those that fewest other tests run.
// Files that have changed since are left out.
func (s *server) functions(k key) (out []function) {
	snap, root, state := s.stateOf(k)
	if state == "" {
		return nil
	}
	ran := cover.Of(state, func(id string) bool {
		path, name := split(root, id)
		return k.covers(path, name)
	})
	for _, r := range ran {
		path := file.Abs(root, filepath.FromSlash(r.Path))
		if path == k.path {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil || history.Digest(text) != r.Digest {
			continue
		}
		v, err := snap.View(path)
		if err != nil {
			continue
		}
		found := map[uint32]*function{}
		for i, span := range r.Lines {
			def, ok := defOf(v.Module, uint32(span[0]-1))
			if !ok {
				continue
			}
			st := v.Module.Stmts[def]
			if found[def] == nil {
				found[def] = &function{path: path, def: st, name: strings.Clone(v.Module.A(def)), text: text, others: r.Others[i]}
			}
			x := found[def]
			x.lines++
			x.others = min(x.others, r.Others[i])
		}
		for _, x := range found {
			out = append(out, *x)
		}
	}
	slices.SortFunc(out, func(a, b function) int {
		return cmp.Or(cmp.Compare(a.others, b.others), cmp.Compare(b.lines, a.lines), cmp.Compare(a.path, b.path), cmp.Compare(a.def.Row, b.def.Row))
	})
	return out
}

// stateOf is what is on disk of the project of a key, its rootdir, and where its
// results are kept, "" for nowhere.
func (s *server) stateOf(k key) (snap *workspace.Snapshot, root, state string) {
	s.mu.Lock()
	f := s.folderOf(k.path)
	s.mu.Unlock()
	snap = f.ws.Disk()
	cfg, _, err := snap.Configure()
	if err != nil || snap.StateDir() == "" {
		return snap, "", ""
	}
	return snap, cfg.Root, workspace.StateFolder(snap.StateDir(), cfg.Root)
}

// covers reports whether something is known of what the tests of a key cover.
func (s *server) covers(k key) bool {
	_, root, state := s.stateOf(k)
	if state == "" {
		return false
	}
	rel, in := file.Rel(root, k.path)
	return in && s.coverage.knows(state, filepath.ToSlash(rel)+k.name)
}

// defOf is the innermost function in whose body a row is.
func defOf(m *pysrc.Module, row uint32) (def uint32, ok bool) {
	for i := range m.Stmts {
		if st := &m.Stmts[i]; st.Kind == pysrc.Def && st.Head < row && row <= st.EndRow {
			def, ok = uint32(i), true // those inside stand behind
		}
	}
	return def, ok
}

// place is where a function's name stands, in the buffer where it is open.
func (s *server) place(x *function) protocol.Location {
	s.mu.Lock()
	doc := s.docs[x.path]
	s.mu.Unlock()
	row, l := x.def.Head, newLines(x.text)
	if doc != nil {
		row, l = mapRow(x.text, doc.text, row), newLines(doc.text)
		row = min(row, uint32(len(l.start)-1))
	}
	return protocol.Location{URI: s.uriOf(x.path), Range: s.span(l, row, x.def.Col, len(x.name))}
}

// testAt is the test or class around a row, "" for none.
func (s *server) testAt(path string, row uint32) string {
	v, doc, err := s.view(path)
	if err != nil || doc == nil {
		return ""
	}
	return around(v, row)
}

// Implementation goes from a test to the code that it covers, as far as a run
// with coverage has shown it.
func (s *server) Implementation(_ context.Context, p *protocol.ImplementationParams) (protocol.ImplementationResult, error) {
	out := protocol.LocationSlice{}
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return out, nil
	}
	if name := s.testAt(path, p.Position.Line); name != "" {
		for _, x := range s.functions(key{path, name}) {
			out = append(out, s.place(&x))
		}
	}
	return out, nil
}

// goToCovered opens the function that tells the test apart: the one that fewest
// others run.
func (s *server) goToCovered(ctx context.Context, k key) (protocol.LSPAny, error) {
	all := s.functions(k)
	if len(all) == 0 {
		return nil, jsonrpc2.Errorf(requestFailed, "what %s covers is not known: run it with coverage first", strings.TrimPrefix(k.name, "::"))
	}
	where := make([]protocol.Location, len(all))
	for i := range all {
		where[i] = s.place(&all[i])
	}
	s.mu.Lock()
	show := s.can.showDocument
	s.mu.Unlock()
	if show {
		focus := true
		if _, err := s.client.ShowDocument(ctx, &protocol.ShowDocumentParams{URI: where[0].URI, TakeFocus: &focus, Selection: &where[0].Range}); err != nil {
			return nil, err
		}
	} else {
		var names []string
		for i, x := range all[:min(len(all), maxHover)] {
			names = append(names, fmt.Sprintf("%s (%s:%d)", x.name, relativeName(s, k.path, x.path), where[i].Range.Start.Line+1))
		}
		s.say(ctx, protocol.MessageTypeInfo, strings.TrimPrefix(k.name, "::")+" covers "+strings.Join(names, ", "))
	}
	return json.Marshal(map[string]any{"locations": where})
}

// tellCoverage tells the user what a run of a command has covered.
func (s *server) tellCoverage(ctx context.Context, run string) {
	r, err := s.covered(&testproto.CoverageParams{RunID: run})
	if err != nil {
		return
	}
	var files []string
	for _, f := range r.Files {
		covered, missed := lineCount(f.Covered), lineCount(f.Missed)
		path, _ := pathOfText(f.URI)
		files = append(files, fmt.Sprintf("%s %d %%", filepath.Base(path), 100*covered/max(covered+missed, 1)))
	}
	more := ""
	if n := len(files) - maxHover; n > 0 {
		files, more = files[:maxHover], fmt.Sprintf(" and %d more", n)
	}
	s.say(ctx, protocol.MessageTypeInfo, "lines of statements that ran: "+strings.Join(files, ", ")+more)
}

func lineCount(ranges []testproto.Range) (n int) {
	for _, r := range ranges {
		n += int(r.End.Line - r.Start.Line)
	}
	return n
}

// hoverCode tells of the function whose def stands on a row which tests run it.
func (s *server) hoverCode(v *workspace.View, row uint32) string {
	for i := range v.Module.Stmts {
		st := &v.Module.Stmts[i]
		if st.Kind != pysrc.Def || st.Head != row {
			continue
		}
		kept, root := s.keptLines(v.Path)
		tests := kept.Between(int(st.Head)+2, int(st.EndRow)+1)
		if len(tests) == 0 {
			return ""
		}
		var b strings.Builder
		fmt.Fprintf(&b, "**%s** — run by %s", v.Module.A(uint32(i)), counted(len(tests), "test"))
		for i, id := range tests {
			if i == maxHover {
				fmt.Fprintf(&b, "\n- and %d more", len(tests)-i)
				break
			}
			path, name := split(root, id)
			fmt.Fprintf(&b, "\n- %s%s", relativeName(s, v.Path, path), name)
		}
		return b.String()
	}
	return ""
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
