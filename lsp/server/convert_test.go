package server

import (
	"testing"

	"go.lsp.dev/protocol"
)

// TestOffset has positions behind "\r", which is a character for some editors,
// and behind the end of a line.
func TestOffset(t *testing.T) {
	const text = "x = 1\r\né😀y\r\nz"
	for _, c := range []struct {
		line, character uint32
		utf8            bool
		want            int
	}{
		{0, 5, false, 5}, {0, 6, false, 6}, {0, 999, false, 5}, {0, 7, true, 5}, {0, 6, true, 6},
		{1, 1, false, 9}, {1, 2, false, 9}, {1, 3, false, 13}, {1, 5, false, 15}, {1, 6, false, 14},
		{1, 2, true, 9}, {1, 6, true, 13}, {2, 0, false, 16}, {2, 9, false, 17}, {3, 0, false, -1},
	} {
		s := &server{utf8: c.utf8}
		got, err := s.offset([]byte(text), protocol.Position{Line: c.line, Character: c.character})
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%d:%d (utf-8: %v) is byte %d, not %d", c.line, c.character, c.utf8, got, c.want)
		}
	}
}

func TestMapRowBesideEdits(t *testing.T) {
	from := "import a\n\n\ndef f():\n    x\n    y\n\n\nend\n"
	for _, c := range []struct {
		to   string
		row  uint32
		want uint32
	}{
		{from, 4, 4},
		{"import a  # more\n# and more\n\n\ndef f():\n    x2\n    y\n\n\nend\n", 4, 5}, // its line has been edited, and two above it
		{"import a\n\n\nend\n", 4, 2}, // it is gone
		{"import b\n\n\ndef f():\n    x\n    y\n\n\nend\n", 4, 4},
		{"import b\n\n\ndef f():\n    x\n\n\nend\n", 5, 4},
		{"import b\n\n\ndef g(): pass\n\n\ndef f():\n    x\n    y\n\n\nend!\n", 5, 8},
		{"", 3, 0},
	} {
		if got := mapRow([]byte(from), []byte(c.to), c.row); got != c.want {
			t.Errorf("row %d in %q is %d, want %d", c.row, c.to, got, c.want)
		}
	}
}
