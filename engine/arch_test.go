package engine_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ranks orders the packages: imports go strictly downwards. pyexpr and pyeval
// (expressions and their values) came to the layout with the outline parser,
// which keeps expressions as text.
var ranks = map[string]int{
	"engine/bug": 0, "engine/wire": 1, "engine/ring": 2, "engine/run": 8, "engine/pool": 9, "engine/report": 9, "engine/cover": 9, "engine/internal/cpu": 0, "engine/file": 1, "engine/pyexpr": 1, "lsp/testproto": 1, "pyworkers": 1,
	"engine/pytest": 2, "engine/store": 2, "engine/git": 2, "engine/pyeval": 2,
	"engine/config": 3, "engine/pysrc": 3, "engine/watch": 3, "engine/pyenv": 4, "engine/resolve": 5, "engine/discover": 6, "engine/graph": 6,
	"engine/workspace": 7, "engine/plan": 7, "engine/history": 4, "lsp/server": 12, "cmd/internal/cli": 14, "cmd/internal/bench": 14, "cmd/dx-py-ls": 15,
	"lsp/lsptest": 20, "engine/enginetest": 20, "engine": 10, "engine/verify": 11,
	"engine/internal/inherited": 0, "engine/internal/clock": 0, "engine/internal/kin": 0, "engine/client": 1, "cmd/internal/early": 2, "engine/daemon": 13, "lsp/forward": 13,
}

// TestImportsGoDown parses the imports itself: a test that asks the go command
// is answered from its cache.
func TestImportsGoDown(t *testing.T) {
	const module = "github.com/dx-py/dx-py-ls/"
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != root || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		rank, ok := ranks[filepath.ToSlash(rel)]
		if !ok {
			t.Errorf("%s: package %s has no rank", p, rel)
			return nil
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			dep, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if below, ok := ranks[dep]; !ok || below >= rank {
				t.Errorf("%s (rank %d) imports %s (rank %d)", rel, rank, dep, below)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 40 {
		t.Errorf("only %d files seen under %s", seen, root)
	}
}

// TestPlatformCodeStandsApart holds build tags of operating systems to files
// named _linux.go and _other.go.
func TestPlatformCodeStandsApart(t *testing.T) {
	for _, dir := range []string{".", "../lsp", "../cmd"} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") {
				return err
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if strings.HasSuffix(p, "_test.go") {
				return nil
			}
			tagged := strings.Contains(string(text), "//go:build linux") || strings.Contains(string(text), "//go:build !linux")
			if tagged && !strings.HasSuffix(p, "_other.go") && !strings.HasSuffix(p, "_linux.go") {
				t.Errorf("%s has a build tag of an operating system", p)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
