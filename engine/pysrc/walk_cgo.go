//go:build cgo

package pysrc

/*
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>

// The declarations of tree-sitter's C interface that the walk needs, as in the
// binding's api.h. The functions are linked from the binding's objects.
typedef uint16_t TSSymbol;
typedef uint16_t TSFieldId;
typedef struct { uint32_t row, column; } TSPoint;
typedef struct TSTree TSTree;
typedef struct { uint32_t context[4]; const void *id; const TSTree *tree; } TSNode;
typedef struct { const void *tree; const void *id; uint32_t context[3]; } TSTreeCursor;
TSTreeCursor ts_tree_cursor_new(TSNode);
void ts_tree_cursor_delete(TSTreeCursor *);
TSNode ts_tree_cursor_current_node(const TSTreeCursor *);
bool ts_tree_cursor_goto_parent(TSTreeCursor *);
bool ts_tree_cursor_goto_next_sibling(TSTreeCursor *);
bool ts_tree_cursor_goto_first_child(TSTreeCursor *);
TSSymbol ts_node_symbol(TSNode);
uint32_t ts_node_start_byte(TSNode);
uint32_t ts_node_end_byte(TSNode);
TSPoint ts_node_start_point(TSNode);
TSPoint ts_node_end_point(TSNode);
bool ts_node_is_missing(TSNode);
bool ts_node_has_error(TSNode);

typedef struct {
  uint16_t sym, missing;
  uint32_t next, start, end, row, end_row;
} FlatNode;

enum { DEPTH = 512 };

// flat_walk copies the nodes that keep asks for in preorder: keep[sym] is 0 to
// leave a node out with all below it, 1 to keep it alone, 2 to go in, 3 to go
// in but keep only the last kept child's own record when that is a block (the
// body of a function). Returns the number of nodes, or -1 without memory.
static int64_t flat_walk(TSNode *root, const uint8_t *keep, uint16_t symbols, uint16_t block,
                         FlatNode **buf, uint32_t *cap) {
  uint32_t n = 0, stack[DEPTH];
  uint8_t kind[DEPTH];
  int depth = 0;
  TSTreeCursor c = ts_tree_cursor_new(*root);
  bool up = false;
  for (;;) {
    if (!up) {
      TSNode x = ts_tree_cursor_current_node(&c);
      TSSymbol s = ts_node_symbol(x);
      uint8_t k = s < symbols ? keep[s] : 1; // ERROR is 65535
      if (k) {
        if (n == *cap) {
          uint32_t more = *cap ? *cap * 2 : 4096;
          FlatNode *p = realloc(*buf, sizeof(FlatNode) * more);
          if (!p) { ts_tree_cursor_delete(&c); return -1; }
          *buf = p;
          *cap = more;
        }
        FlatNode *f = &(*buf)[n];
        f->sym = s;
        f->missing = ts_node_is_missing(x);
        f->start = ts_node_start_byte(x);
        f->end = ts_node_end_byte(x);
        f->row = ts_node_start_point(x).row;
        f->end_row = ts_node_end_point(x).row;
        f->next = ++n;
        bool body = s == block && depth && kind[depth - 1] == 3;
        // errors are looked for everywhere: what is kept of a broken node's
        // inside stands where nobody asks for children
        bool in = (k >= 2 && !body) || (s < symbols && ts_node_has_error(x));
        if (in && depth < DEPTH - 1 && ts_tree_cursor_goto_first_child(&c)) {
          kind[depth] = k;
          stack[depth++] = n - 1;
          continue;
        }
      }
    }
    up = false;
    if (ts_tree_cursor_goto_next_sibling(&c)) continue;
    if (depth == 0) break;
    ts_tree_cursor_goto_parent(&c);
    (*buf)[stack[--depth]].next = n;
    up = true;
  }
  ts_tree_cursor_delete(&c);
  return n;
}
*/
import "C"

import (
	"unsafe"

	sitter "github.com/smacker/go-tree-sitter"
)

// node is one node of a flattened tree, laid out as the C side's FlatNode.
type node struct {
	sym, missing                  uint16
	next, start, end, row, endRow uint32
}

// walker flattens trees with one cgo call a tree: a quarter of the cost of
// tree-sitter's Query and half of the Node methods' (trial, 2026-11).
type walker struct {
	buf *C.FlatNode
	cap C.uint32_t
}

func (w *walker) close() {
	C.free(unsafe.Pointer(w.buf))
	w.buf, w.cap = nil, 0
}

// walk returns the nodes under n that the grammar's keep table asks for. They
// are valid until the next walk or close.
func (w *walker) walk(n *sitter.Node) []node {
	// The binding's Node begins with the C struct; a Go pointer follows, which
	// must not reach C. TestBindingLayout pins this.
	root := *(*C.TSNode)(unsafe.Pointer(n))
	k := C.flat_walk(&root, (*C.uint8_t)(unsafe.Pointer(&grammar().keep[0])), C.uint16_t(len(grammar().keep)),
		C.uint16_t(grammar().block), &w.buf, &w.cap)
	if k <= 0 {
		return nil
	}
	return unsafe.Slice((*node)(unsafe.Pointer(w.buf)), int(k))
}

const cNodeSize = unsafe.Sizeof(C.TSNode{})
