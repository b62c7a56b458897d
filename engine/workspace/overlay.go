package workspace

import (
	"sync"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// overlay is one text of an unsaved buffer. It is immutable; the tree that
// parses it is shared by all texts that the buffer has had.
type overlay struct {
	text    []byte
	version int32
	buffer  *buffer

	once sync.Once
	mod  *pysrc.Module
}

// buffer owns the tree of an open buffer. The tree follows the texts that are
// asked for: a thousand edits without a look in between are one parse.
type buffer struct {
	mu     sync.Mutex
	tree   *pysrc.Tree // nil before the first look, and when closed
	closed bool
}

// module returns the module of the text.
func (o *overlay) module() *pysrc.Module {
	o.once.Do(func() { o.mod = o.buffer.parse(o.text) })
	return o.mod
}

func (b *buffer) parse(text []byte) *pysrc.Module {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return pysrc.Parse(text)
	case b.tree == nil:
		b.tree = pysrc.NewTree(text)
	default:
		b.tree.Edit(text)
	}
	return b.tree.Module()
}

// close frees the tree. Snapshots that still hold a text parse it anew.
func (b *buffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.tree != nil {
		b.tree.Close()
		b.tree = nil
	}
}

// change applies one file's change to a copy of the overlays, and reports
// whether anything is different behind it.
func change(overlays map[string]*overlay, c file.Change, ca *cache) bool {
	old := overlays[c.Path]
	switch {
	case c.Text == nil && old == nil:
		return true // the file on disk changed
	case c.Text == nil:
		old.buffer.close()
		delete(overlays, c.Path)
		ca.forget(c.Path)
		return true
	case old != nil && string(old.text) == string(c.Text):
		return false
	}
	o := &overlay{text: c.Text, version: c.Version}
	if old != nil {
		o.buffer = old.buffer
	} else {
		o.buffer = &buffer{}
	}
	overlays[c.Path] = o
	return true
}
