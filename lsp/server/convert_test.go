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
