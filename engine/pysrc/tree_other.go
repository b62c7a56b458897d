//go:build !cgo

package pysrc

// Without cgo there is no tree-sitter: the outline parser is all there is,
// and what it doubts is a problem.

// Tree stands for the tree of an open buffer.
type Tree struct{ src []byte }

// NewTree keeps src.
func NewTree(src []byte) *Tree { return &Tree{src} }

// Close does nothing.
func (t *Tree) Close() {}

// Edit replaces the text.
func (t *Tree) Edit(src []byte) { t.src = src }

// Module parses the text.
func (t *Tree) Module() *Module { return parseTree(t.src) }

func parseTree(src []byte) *Module {
	var o outline
	if o.parse(src) == 0 {
		return o.b.finish()
	}
	return o.mend(src)
}

// Valid reports whether a file is Python, as far as its outline tells.
func Valid(content []byte) bool {
	src, problem := decode(content)
	var o outline
	return problem == nil && o.parse(src) == 0
}
