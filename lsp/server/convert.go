package server

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
)

// This is the only file that knows URIs and UTF-16.

// pathOf returns the file of a document; false for what is no file.
func pathOf(u uri.URI) (string, bool) {
	if len(u) < 5 || !strings.EqualFold(string(u[:5]), "file:") {
		return "", false // Parse takes "" for file:///
	}
	c, err := uri.Parse(string(u))
	if err != nil || len(c) < 5 || c[:5] != "file:" {
		return "", false
	}
	platform := uri.PlatformPOSIX
	if runtime.GOOS == "windows" {
		platform = uri.PlatformWindows
	}
	p := uri.FsPathFor(c, platform, false)
	if p == "" {
		return "", false
	}
	return filepath.Clean(p), true
}

func dirOf(path string) string { return filepath.Dir(path) }

// pathOfText is pathOf for a URI of a message of our own.
func pathOfText(s string) (string, bool) { return pathOf(uri.URI(s)) }

// place is a folder as a client names it.
type place struct {
	path string
	uri  uri.URI
}

// foldersOf returns the folders of a client: workspaceFolders, else rootUri.
func foldersOf(p *protocol.InitializeParams) []place {
	var out []place
	if fs, ok := p.WorkspaceFolders.Get(); ok {
		for _, f := range fs {
			if path, ok := pathOf(f.URI); ok {
				out = append(out, place{path, f.URI})
			}
		}
	}
	if len(out) == 0 && p.RootURI != nil {
		if path, ok := pathOf(*p.RootURI); ok {
			out = append(out, place{path, *p.RootURI})
		}
	}
	return out
}

// offset returns the byte offset of a position. A position behind the end of
// its line means the line's end, as LSP says; one behind the last line is an
// error, since an edit there cannot be meant. Editors for which "\r" is a
// character of the line (Neovim with fileformat=unix) have positions behind it.
func (s *server) offset(text []byte, pos protocol.Position) (int, error) {
	return offset(text, pos, s.utf8)
}

func offset(text []byte, pos protocol.Position, inBytes bool) (int, error) {
	at := 0
	for range pos.Line {
		k := bytes.IndexByte(text[at:], '\n')
		if k < 0 {
			if at < len(text) || pos.Line > uint32(bytes.Count(text, []byte{'\n'})) {
				return 0, fmt.Errorf("line %d is behind the end of the document", pos.Line)
			}
			break
		}
		at += k + 1
	}
	line := text[at:]
	if k := bytes.IndexByte(line, '\n'); k >= 0 {
		line = line[:k]
	}
	end := len(bytes.TrimSuffix(line, []byte{'\r'}))
	if inBytes {
		if int(pos.Character) > len(line) {
			return at + end, nil
		}
		return at + int(pos.Character), nil
	}
	units := int(pos.Character)
	n := 0
	for n < len(line) && units > 0 {
		r, size := utf8.DecodeRune(line[n:])
		units--
		if r > 0xFFFF {
			units--
		}
		if units < 0 {
			break // between the halves of a pair: before it
		}
		n += size
	}
	if n == len(line) && units > 0 {
		n = end
	}
	return at + n, nil
}

// character returns the client's column of a byte column on a line.
func (s *server) character(line []byte, col uint32) uint32 {
	head := line[:min(int(col), len(line))]
	if s.utf8 {
		return uint32(len(head))
	}
	n := uint32(0)
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		n++
		if r > 0xFFFF {
			n++
		}
		head = head[size:]
	}
	return n
}

// lines finds rows of a text quickly.
type lines struct {
	text  []byte
	start []int
}

func newLines(text []byte) *lines {
	l := &lines{text: text, start: []int{0}}
	for i := 0; ; {
		k := bytes.IndexByte(text[i:], '\n')
		if k < 0 {
			return l
		}
		i += k + 1
		l.start = append(l.start, i)
	}
}

func (l *lines) row(n uint32) []byte {
	if int(n) >= len(l.start) {
		return nil
	}
	from, to := l.start[n], len(l.text)
	if int(n)+1 < len(l.start) {
		to = l.start[n+1] - 1
	}
	return bytes.TrimSuffix(l.text[from:to], []byte{'\r'})
}

// span is the range of n bytes from a byte column on a row.
func (s *server) span(l *lines, row, col uint32, n int) protocol.Range {
	line := l.row(row)
	return protocol.Range{
		Start: protocol.Position{Line: row, Character: s.character(line, col)},
		End:   protocol.Position{Line: row, Character: s.character(line, col+uint32(n))},
	}
}

// rows is the range of whole rows.
func (s *server) rows(l *lines, from, to uint32) protocol.Range {
	end := l.row(to)
	return protocol.Range{
		Start: protocol.Position{Line: from},
		End:   protocol.Position{Line: to, Character: s.character(end, uint32(len(end)))},
	}
}
