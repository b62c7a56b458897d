//go:build cgo

package pysrc

import (
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"
)

// TestBindingLayout pins what walk reads through unsafe: a Node of the binding
// begins with the C struct, and the flattened nodes are laid out alike.
func TestBindingLayout(t *testing.T) {
	tree := NewTree([]byte("x = 1\n"))
	defer tree.Close()
	tree.grow()
	root := tree.tree.RootNode()
	if got := *(*[4]uint32)(unsafe.Pointer(root)); got[0] != root.StartByte() {
		t.Errorf("the node's first word is %d, its start %d", got[0], root.StartByte())
	}
	if cNodeSize != 32 {
		t.Errorf("TSNode has %d bytes", cNodeSize)
	}
	if s := unsafe.Sizeof(node{}); s != 24 {
		t.Errorf("a flattened node has %d bytes", s)
	}
	ns := tree.walker.walk(root)
	if len(ns) == 0 || int(ns[0].next) != len(ns) || ns[0].endRow != 1 {
		t.Errorf("the walk of %q gives %+v", "x = 1", ns)
	}
}

// TestMutantsAgree edits real files at random. Where both parsers are sure,
// they agree, or Python rejects the text.
func TestMutantsAgree(t *testing.T) {
	files := corpus(t)
	rng := rand.New(rand.NewSource(7))
	rng.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	sure, differ := 0, 0
	for _, p := range files[:min(len(files), 250)] {
		content, err := os.ReadFile(p)
		if err != nil || len(content) > 60_000 {
			continue
		}
		src, problem := decode(content)
		if problem != nil {
			continue
		}
		for _, m := range mutants(src, rng, 6) {
			var o outline
			if o.parse(m) != 0 {
				continue
			}
			got := o.b.finish()
			want, errs := full(m)
			if errs {
				continue
			}
			sure++
			if !got.Equal(want) {
				if pythonAccepts(t, m) {
					differ++
					t.Errorf("%s: a mutant that is valid Python differs:\noutline:\n%s\ntree:\n%s", p, got, want)
				}
			}
		}
	}
	if sure < 200 {
		t.Errorf("only %d mutants were clean", sure)
	}
	t.Logf("%d clean mutants, %d valid ones differ", sure, differ)
}

func pythonAccepts(t *testing.T, src []byte) bool {
	t.Helper()
	p := filepath.Join(t.TempDir(), "mutant.py")
	if err := os.WriteFile(p, src, 0o644); err != nil {
		t.Fatal(err)
	}
	return exec.Command("python3", "-W", "ignore", "-c", "import ast,sys; ast.parse(open(sys.argv[1], 'rb').read())", p).Run() == nil
}
