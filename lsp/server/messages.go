package server

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// change is a result as dx-py/testStates has it.
func (s *server) change(f *folder, path, name string, t *pytest.Result) testproto.Change {
	ms := t.Seconds() * 1e3
	c := testproto.Change{Ref: f.refOf(f.rootOf(), key{path, name}), State: stateOf(t.Outcome), DurationMs: &ms}
	if t.Outcome == pytest.Passed {
		return c
	}
	text := t.Text
	if text == "" || !t.Outcome.Bad() {
		text = t.Message
	}
	if text == "" {
		return c
	}
	m := testproto.Message{Text: testproto.Markup{Kind: "plaintext", Value: text}}
	if t.Outcome.Bad() {
		m.Actual, m.Expected = sides(t.Message)
		m.Location = s.location(path, t.FailLine, nil)
		m.Stack = s.stack(f, t.Text)
	}
	c.Messages = []testproto.Message{m}
	return c
}

// sides are the two of a plain "assert actual == expected", "" when the
// message leaves a doubt about where one ends.
func sides(message string) (actual, expected string) {
	first, _, _ := strings.Cut(message, "\n")
	rest, ok := strings.CutPrefix(strings.TrimPrefix(first, "AssertionError: "), "assert ")
	if !ok || strings.Count(rest, " == ") != 1 {
		return "", ""
	}
	actual, expected, _ = strings.Cut(rest, " == ")
	return actual, expected
}

// frame is a line of a traceback as pytest prints it: path:line: what.
var frame = regexp.MustCompile(`(?m)^([^\s:][^:\n]*\.py):(\d+): (.*)$`)

// frames are the places of a traceback, the innermost first.
func (s *server) stack(f *folder, text string) []testproto.Frame {
	return (&sights{s: s}).stack(f, framesOf(text))
}

// frameLine is one that pytest printed.
type frameLine struct {
	path, what string
	line       int
}

func framesOf(text string) []frameLine {
	out := []frameLine{}
	for _, m := range frame.FindAllStringSubmatch(text, -1) {
		line, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		out = append(out, frameLine{m[1], m[3], line})
	}
	return out
}

// sights are the files of frames as they are now, each looked at once.
type sights struct {
	s    *server
	seen map[string]*sight
	maps map[*byte]*mapper // by the text that ran
}

type sight struct {
	uri string
	l   *lines  // of the buffer, where it is open
	m   *mapper // from the disk to the buffer; nil where it is not open
}

func (v *sights) stack(f *folder, frames []frameLine) []testproto.Frame {
	var out []testproto.Frame
	for _, x := range slices.Backward(frames) {
		out = append(out, testproto.Frame{
			Label: x.path + ":" + strconv.Itoa(x.line) + ": " + x.what, Location: v.location(file.Abs(f.path, x.path), x.line),
		})
	}
	return out
}

func (v *sights) location(path string, line int) *testproto.Location {
	x := v.seen[path]
	if x == nil {
		v.s.mu.Lock()
		doc := v.s.docs[path]
		v.s.mu.Unlock()
		text, _ := os.ReadFile(path)
		x = &sight{uri: string(v.s.uriOf(path))}
		if doc != nil {
			x.m = newMapper(text, doc.text)
			text = doc.text
		}
		x.l = newLines(text)
		if v.seen == nil {
			v.seen = map[string]*sight{}
		}
		v.seen[path] = x
	}
	row := uint32(max(line, 1) - 1)
	if x.m != nil {
		row = x.m.row(row)
	}
	row = min(row, uint32(len(x.l.start)-1))
	return &testproto.Location{URI: x.uri, Range: rangeOf(v.s.rows(x.l, row, row))}
}

// from maps the rows of a text that ran to those of the newest.
func (v *sights) from(ran, now []byte, row uint32) uint32 {
	if len(ran) == 0 {
		return row
	}
	m := v.maps[&ran[0]]
	if m == nil {
		m = newMapper(ran, now)
		if v.maps == nil {
			v.maps = map[*byte]*mapper{}
		}
		v.maps[&ran[0]] = m
	}
	return m.row(row)
}

// location is a line, from 1, of a file as it ran, in the buffer where it is
// open. ran is the text that ran, nil for that on disk.
func (s *server) location(path string, line int, ran []byte) *testproto.Location {
	s.mu.Lock()
	doc := s.docs[path]
	s.mu.Unlock()
	text := ran
	if text == nil {
		text, _ = os.ReadFile(path)
	}
	row := uint32(max(line, 1) - 1)
	u := s.uriOf(path)
	if doc != nil {
		row = mapRow(text, doc.text, row)
		text = doc.text
	}
	l := newLines(text)
	row = min(row, uint32(len(l.start)-1))
	return &testproto.Location{URI: string(u), Range: rangeOf(s.rows(l, row, row))}
}

func rangeOf(r protocol.Range) testproto.Range {
	return testproto.Range{
		Start: testproto.Position{Line: r.Start.Line, Character: r.Start.Character},
		End:   testproto.Position{Line: r.End.Line, Character: r.End.Character},
	}
}

// mapRow is where a row of one text is in another: lines in front of the first
// difference and behind the last keep their places, one between stays with the
// nearest line above that both texts have once, and is at most where the
// difference ends.
func mapRow(from, to []byte, row uint32) uint32 { return newMapper(from, to).row(row) }

// mapper is mapRow for many rows.
type mapper struct {
	a, b       [][]byte // lines; none where the texts are the same
	head, tail int      // lines that are
}

func newMapper(from, to []byte) *mapper {
	if bytes.Equal(from, to) {
		return &mapper{}
	}
	a, b := bytes.Split(from, []byte{'\n'}), bytes.Split(to, []byte{'\n'})
	head := 0
	for head < len(a) && head < len(b) && bytes.Equal(a[head], b[head]) {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && bytes.Equal(a[len(a)-1-tail], b[len(b)-1-tail]) {
		tail++
	}
	return &mapper{a, b, head, tail}
}

func (m *mapper) row(row uint32) uint32 {
	a, b, head, tail := m.a, m.b, m.head, m.tail
	r := int(row)
	switch {
	case a == nil:
		return row
	case r < head:
		return row
	case r >= len(a)-tail:
		return uint32(r + len(b) - len(a))
	}
	return uint32(max(0, min(beside(a[head:len(a)-tail], b[head:len(b)-tail], r-head)+head, len(b)-tail-1)))
}

// beside is where a row of lines is in others, as far as lines above it tell.
func beside(from, to [][]byte, row int) int {
	const twice = -1
	at := map[string]int{}
	note := func(line []byte, k int) {
		if _, seen := at[string(line)]; seen {
			k = twice
		}
		at[string(line)] = k
	}
	for k, line := range to {
		note(line, k)
	}
	count := map[string]int{}
	for _, line := range from {
		count[string(line)]++
	}
	for k := row; k >= 0; k-- {
		if there, ok := at[string(from[k])]; ok && there != twice && count[string(from[k])] == 1 {
			return there + row - k
		}
	}
	return row
}
