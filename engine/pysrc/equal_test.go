//go:build cgo

package pysrc

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sitter "github.com/smacker/go-tree-sitter"
)

// corpus returns the Python files of the interpreters on this machine: the
// standard library and whatever is installed beside it. DX_CORPUS names other
// folders, separated by colons.
func corpus(t testing.TB) []string {
	t.Helper()
	roots := filepath.SplitList(os.Getenv("DX_CORPUS"))
	if len(roots) == 0 {
		py := pythonPrefix(t)
		roots = []string{filepath.Join(py, "lib")}
	}
	var out []string
	for _, r := range roots {
		filepath.WalkDir(r, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasSuffix(p, ".py") {
				out = append(out, p)
			}
			return nil
		})
	}
	if len(out) < 500 {
		t.Fatalf("only %d Python files found under %v", len(out), roots)
	}
	return out
}

// full reads src with tree-sitter alone, and reports whether it found errors.
func full(src []byte) (*Module, bool) {
	t := &Tree{parser: sitter.NewParser()} // without a limit: other tests may keep the machine busy
	t.parser.SetLanguage(grammar().lang)
	t.parse(src)
	defer t.Close()
	return t.read(), t.tree.RootNode().HasError()
}

func TestOutlineEqualsTree(t *testing.T) {
	files := corpus(t)
	differ, doubtful, bad := 0, 0, 0
	for _, p := range files {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		src, problem := decode(content)
		if problem != nil {
			continue
		}
		var o outline
		doubt := o.parse(src)
		got := o.b.finish()
		want, errs := full(src)
		switch {
		case errs:
			bad++
		case doubt != 0:
			doubtful++
			t.Logf("%s: doubt %b", p, doubt)
		case !got.Equal(want):
			differ++
			if differ <= 5 {
				t.Errorf("%s: outline (-), tree (+):\n%s", p, cmp.Diff(strings.Split(got.String(), "\n"), strings.Split(want.String(), "\n")))
			}
		}
	}
	t.Logf("%d files: %d differ, %d doubtful, %d with errors in the tree", len(files), differ, doubtful, bad)
}
