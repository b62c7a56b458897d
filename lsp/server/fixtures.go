package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// cursor is what stands at a position of a document.
type cursor struct {
	v      *workspace.View
	doc    *document
	l      *lines
	row    uint32
	col    uint32 // in bytes
	word   string
	start  uint32 // of the word
	user   *discover.User
	quoted bool // the word is a string's
}

// at looks at a position; nil when the document is not open.
func (s *server) at(p protocol.TextDocumentPositionParams) *cursor {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return nil
	}
	v, doc, err := s.view(path)
	if err != nil || doc == nil {
		return nil
	}
	c := &cursor{v: v, doc: doc, l: newLines(v.Text), row: p.Position.Line}
	if int(c.row) >= len(c.l.start) {
		return nil
	}
	at, err := s.offset(v.Text, p.Position)
	if err != nil {
		return nil
	}
	c.col = uint32(at - c.l.start[c.row])
	line := c.l.row(c.row)
	from, to := int(min(c.col, uint32(len(line)))), int(min(c.col, uint32(len(line))))
	for from > 0 && nameByte(line[from-1]) {
		from--
	}
	for to < len(line) && nameByte(line[to]) {
		to++
	}
	c.word, c.start = string(line[from:to]), uint32(from)
	c.quoted = from > 0 && (line[from-1] == '"' || line[from-1] == '\'')
	for i := range v.Names.Users {
		if u := &v.Names.Users[i]; c.row >= u.Row && c.row <= u.EndRow && (c.user == nil || u.Row >= c.user.Row) {
			c.user = u
		}
	}
	return c
}

func nameByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// fixture is the one that the word stands for: a parameter or its use in the
// body, a name in usefixtures or getfixturevalue, or the definition itself.
func (c *cursor) fixture() *discover.Fixture {
	u := c.user
	if u == nil || c.word == "" {
		return nil
	}
	if u.Fixture != "" && c.row == u.Head && c.start == u.Col {
		f := *u
		return &discover.Fixture{Name: f.Fixture, Path: c.v.Path, Func: f.Name, Head: f.Head, EndRow: f.EndRow, Col: f.Col}
	}
	if slices.Contains(u.Args, c.word) && !c.quoted || c.quoted && (slices.Contains(u.Used, c.word) || c.called("getfixturevalue(")) {
		return c.v.Names.Find(u, c.word)
	}
	return nil
}

// called reports whether the quoted word is the first argument of a call.
func (c *cursor) called(what string) bool {
	line := c.l.row(c.row)
	return c.start > 0 && bytes.HasSuffix(line[:c.start-1], []byte(what))
}

// Definition goes to the fixture that a name stands for.
func (s *server) Definition(_ context.Context, p *protocol.DefinitionParams) (protocol.DefinitionResult, error) {
	none := protocol.LocationSlice{}
	c := s.at(p.TextDocumentPositionParams)
	if c == nil {
		return none, nil
	}
	f := c.fixture()
	if f == nil || f.Path == "" {
		return none, nil
	}
	return protocol.LocationSlice{s.definition(f)}, nil
}

func (s *server) definition(f *discover.Fixture) protocol.Location {
	return protocol.Location{URI: s.uriOf(f.Path), Range: s.span(s.linesOf(f.Path), f.Head, f.Col, len(f.Func))}
}

// linesOf are the lines of a file, of its buffer where it is open.
func (s *server) linesOf(path string) *lines {
	s.mu.Lock()
	doc := s.docs[path]
	s.mu.Unlock()
	if doc != nil {
		return newLines(doc.text)
	}
	text, _ := os.ReadFile(path) // gone meanwhile: no lines
	return newLines(text)
}

// References are the parameters and usefixtures marks that get a fixture.
func (s *server) References(ctx context.Context, p *protocol.ReferenceParams) ([]protocol.Location, error) {
	out := []protocol.Location{}
	c := s.at(p.TextDocumentPositionParams)
	if c == nil {
		return out, nil
	}
	f := c.fixture()
	if f == nil || f.Path == "" {
		return out, nil
	}
	if p.Context.IncludeDeclaration {
		out = append(out, s.definition(f))
	}
	s.mu.Lock()
	folder := s.folderOf(c.v.Path)
	snap := folder.ws.Apply(workspace.Update{})
	s.mu.Unlock()
	for _, path := range s.sources(folder) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l := s.linesOf(path)
		if !bytes.Contains(l.text, []byte(f.Name)) {
			continue // 10,000 files are read in 0.1 s, and collected in 10
		}
		v, err := snap.View(path)
		if err != nil {
			continue
		}
		for i := range v.Names.Users {
			u := &v.Names.Users[i]
			if !slices.Contains(u.Args, f.Name) && !slices.Contains(u.Used, f.Name) {
				continue
			}
			if d := v.Names.Find(u, f.Name); d == nil || d.Path != f.Path || d.Head != f.Head {
				continue
			}
			for _, at := range mentions(l, u, f.Name) {
				out = append(out, protocol.Location{URI: s.uriOf(path), Range: s.span(l, at[0], at[1], len(f.Name))})
			}
		}
	}
	return out, nil
}

// sources are the files of a folder that may have tests or fixtures: those
// with tests, the conftests above them, and what is open.
func (s *server) sources(f *folder) []string {
	seen := map[string]bool{}
	var out []string
	add := func(p string) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	if suite, err := f.ws.Disk().Suite(); err == nil {
		root := f.rootOf()
		for _, it := range suite.Items {
			if seen[it.Path] {
				continue
			}
			for dir := dirOf(it.Path); len(dir) >= len(root) && !seen[dir]; dir = dirOf(dir) {
				seen[dir] = true
				if conftest := dir + "/conftest.py"; isFile(conftest) {
					add(conftest)
				}
			}
			add(it.Path)
		}
	}
	s.mu.Lock()
	for p := range s.docs {
		if s.folderOf(p) == f {
			add(p)
		}
	}
	s.mu.Unlock()
	slices.Sort(out)
	return out
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// mentions are the rows and columns where a user names a fixture: among its
// parameters, and in strings above it.
func mentions(l *lines, u *discover.User, name string) [][2]uint32 {
	var out [][2]uint32
	for row := u.Row; row < u.Head && int(row) < len(l.start); row++ {
		line := l.row(row)
		for _, q := range []string{"\"", "'"} {
			if i := bytes.Index(line, []byte(q+name+q)); i >= 0 && bytes.Contains(line, []byte("usefixtures")) {
				out = append(out, [2]uint32{row, uint32(i + 1)})
			}
		}
	}
	if row, col, ok := parameter(l, u, name); ok {
		out = append(out, [2]uint32{row, col})
	}
	return out
}

// parameter is where a name stands among the parameters of a def.
func parameter(l *lines, u *discover.User, name string) (row, col uint32, ok bool) {
	if int(u.Head) >= len(l.start) {
		return 0, 0, false
	}
	text := l.text
	i := l.start[u.Head] + int(u.Col) + len(u.Name)
	row = u.Head
	depth, fresh := 0, false // fresh: a parameter may begin
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b == '\n':
			row++
		case b == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case b == '(' || b == '[' || b == '{':
			depth++
			fresh = depth == 1 && b == '('
		case b == ')' || b == ']' || b == '}':
			if depth--; depth == 0 && b == ')' {
				return 0, 0, false
			}
		case b == ',' && depth == 1:
			fresh = true
		case b == '"' || b == '\'':
			for i++; i < len(text) && text[i] != b && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			fresh = false
		case nameByte(b):
			end := i
			for end < len(text) && nameByte(text[end]) {
				end++
			}
			if fresh && depth == 1 && string(text[i:end]) == name {
				return row, uint32(i - l.start[row]), true
			}
			fresh = false
			i = end - 1
		case b != ' ' && b != '\t' && b != '\r' && b != '*' && b != '\\':
			fresh = false
		}
	}
	return 0, 0, false
}

// Completion offers fixtures where one can be asked for: in the parameters of
// a test or fixture, and in usefixtures.
func (s *server) Completion(_ context.Context, p *protocol.CompletionParams) (protocol.CompletionResult, error) {
	none := &protocol.CompletionList{Items: []protocol.CompletionItem{}}
	c := s.at(p.TextDocumentPositionParams)
	if c == nil {
		return none, nil
	}
	have, ok := c.asking()
	if !ok {
		return none, nil
	}
	list := none
	for _, f := range c.v.Names.Visible(c.row) {
		if slices.Contains(have, f.Name) {
			continue
		}
		item := protocol.CompletionItem{Label: f.Name, Kind: protocol.CompletionItemKindVariable, Detail: protocol.NewOptional(describe(f))}
		if strings.HasPrefix(f.Name, "_") {
			item.SortText = protocol.NewOptional("~" + f.Name)
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

// describe is one line about a fixture.
func describe(f *discover.Fixture) string {
	if f.Path == "" {
		return "fixture of pytest's"
	}
	out := "fixture"
	if f.Parametrized {
		out = "parametrized fixture"
	}
	if f.Scope > 0 {
		out += ", " + f.Scope.String() + " scope"
	}
	if f.Autouse {
		out += ", autouse"
	}
	return out
}

// asking reports whether a fixture can be named at the cursor, and which are
// named already. It reads the text: while one types it is no valid Python.
func (c *cursor) asking() (have []string, ok bool) {
	text := c.v.Text
	end := c.l.start[c.row] + int(c.start)
	depth := 0
	var names []string
	name := func(i int) (string, int) {
		from := i
		for from > 0 && nameByte(text[from-1]) {
			from--
		}
		return string(text[from:i]), from
	}
	for i := end; i > 0 && end-i < 4000; i-- {
		switch b := text[i-1]; {
		case b == ')' || b == ']' || b == '}':
			depth++
		case depth > 0 && (b == '(' || b == '[' || b == '{'):
			depth--
		case b == '[' || b == '{':
			return nil, false
		case b == '(':
			called, from := name(i - 1)
			if called == "usefixtures" && c.quoted {
				return names, true
			}
			head := strings.TrimSpace(string(c.line(from)[:from-c.lineStart(from)]))
			if called == "" || head != "def" && head != "async def" || c.quoted {
				return nil, false
			}
			return names, c.fillable(called, from)
		case depth == 0 && nameByte(b):
			n, from := name(i)
			names = append(names, n)
			i = from + 1
		case depth == 0 && (b == '=' || b == ':') && i == end:
			return nil, false // a default or an annotation
		}
	}
	return nil, false
}

func (c *cursor) lineStart(at int) int {
	return bytes.LastIndexByte(c.v.Text[:at], '\n') + 1
}

func (c *cursor) line(at int) []byte {
	from := c.lineStart(at)
	if k := bytes.IndexByte(c.v.Text[from:], '\n'); k >= 0 {
		return c.v.Text[from : from+k]
	}
	return c.v.Text[from:]
}

// fillable reports whether pytest fills the parameters of a function: it is
// named like a test, or a fixture by the decorator above it.
func (c *cursor) fillable(name string, at int) bool {
	if strings.HasPrefix(name, "test") {
		return true
	}
	for i := range c.v.Names.Users {
		if c.v.Names.Users[i].Name == name {
			return true
		}
	}
	for from := c.lineStart(at); from > 0; {
		from = c.lineStart(from - 1)
		line := strings.TrimSpace(string(c.line(from)))
		if strings.HasPrefix(line, "@") && isFixture(strings.TrimPrefix(line, "@")) {
			return true
		}
		if line == "" || strings.HasPrefix(line, "def ") || strings.HasPrefix(line, "class ") {
			break
		}
	}
	return false
}

// missing are diagnostics for names that are no fixtures.
func (s *server) missing(v *workspace.View, l *lines) []protocol.Diagnostic {
	var out []protocol.Diagnostic
	for i := range v.Names.Users {
		u := &v.Names.Users[i]
		for _, name := range u.Missing {
			r := s.span(l, u.Head, u.Col, len(u.Name))
			if at := mentions(l, u, name); len(at) > 0 {
				r = s.span(l, at[0][0], at[0][1], len(name))
			}
			out = append(out, protocol.Diagnostic{
				Range: r, Severity: protocol.DiagnosticSeverityWarning, Source: protocol.NewOptional(problemSource),
				Message: protocol.String(fmt.Sprintf("fixture '%s' is not found", name)),
			})
		}
	}
	return out
}
