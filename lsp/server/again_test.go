package server

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForeign names only files of others for the reason of a restart: what the
// tests wrote may be heard of at the same time as an edit.
func TestForeign(t *testing.T) {
	paths, rels := foreign([]string{"/p/mod.py", "/p/report.txt"}, []string{"report.txt"}, filepath.Base)
	if diff := cmp.Diff([][]string{{"/p/mod.py"}, {"mod.py"}}, [][]string{paths, rels}); diff != "" {
		t.Error(diff)
	}
}
