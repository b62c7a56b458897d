//go:build cgo

package pysrc

import (
	"bytes"
	"context"
	"sync"

	sitter "github.com/smacker/go-tree-sitter"
	"github.com/smacker/go-tree-sitter/python"
)

// grammar is what the tree reader needs to know of tree-sitter's grammar. It
// is read at the first tree: most commands never make one.
var grammar = sync.OnceValue(loadGrammar)

type grammarTable struct {
	lang  *sitter.Language
	names []string
	keep  []byte // see flat_walk
	block uint16
}

func loadGrammar() *grammarTable {
	g := new(grammarTable)
	g.lang = python.GetLanguage()
	n := int(g.lang.SymbolCount())
	g.names = make([]string, n)
	g.keep = make([]byte, n)
	for i := range g.names {
		name := g.lang.SymbolName(sitter.Symbol(i))
		g.names[i] = name
		g.keep[i] = 1
		switch name {
		case "module", "block", "class_definition", "decorated_definition", "expression_statement", "assignment",
			"if_statement", "elif_clause", "else_clause", "for_statement", "while_statement", "try_statement",
			"except_clause", "except_group_clause", "finally_clause", "with_statement", "match_statement",
			"case_clause", "case_block", "import_statement", "import_from_statement", "future_import_statement",
			"aliased_import", "decorator", "augmented_assignment", "type_alias_statement":
			g.keep[i] = 2
		case "function_definition":
			g.keep[i] = 3
		case "comment", "line_continuation":
			g.keep[i] = 0
		}
		if name == "block" {
			g.block = uint16(i)
		}
	}
	return g
}

// Tree parses the texts of an open buffer. The outline parser goes first: it
// takes a tenth of what tree-sitter takes to edit a tree. What it doubts, as it
// does while a bracket waits for its end, goes to a tree-sitter tree that is
// made at the first doubt and edited at the next. A Tree is not safe for
// concurrent use and must be closed.
type Tree struct {
	parser *sitter.Parser // nil before the first doubt
	tree   *sitter.Tree   // of src
	walker walker
	o      outline
	src    []byte
	text   []byte // the newest
}

// NewTree takes src, which must be decoded text. The Tree keeps it.
func NewTree(src []byte) *Tree {
	t := &Tree{}
	t.Edit(src)
	return t
}

// Close frees the tree. The Modules made from it stay.
func (t *Tree) Close() {
	if t.tree != nil {
		t.tree.Close()
		t.tree = nil
	}
	if t.parser != nil {
		t.parser.Close()
		t.walker.close()
	}
}

// Edit gives the whole new text, which the Tree keeps.
func (t *Tree) Edit(src []byte) { t.text = src }

// grow has the tree follow the text.
func (t *Tree) grow() {
	if t.parser == nil {
		t.parser = sitter.NewParser()
		t.parser.SetLanguage(grammar().lang)
		t.parser.SetOperationLimit(maxParseUs)
	}
	if t.tree != nil {
		start, oldEnd, newEnd := difference(t.src, t.text)
		t.tree.Edit(sitter.EditInput{
			StartIndex: uint32(start), OldEndIndex: uint32(oldEnd), NewEndIndex: uint32(newEnd),
			StartPoint: point(t.src, start), OldEndPoint: point(t.src, oldEnd), NewEndPoint: point(t.text, newEnd),
		})
	}
	t.parse(t.text)
}

func (t *Tree) parse(src []byte) {
	t.src = src
	tree, err := t.parser.ParseCtx(context.Background(), t.tree, src)
	if t.tree != nil {
		t.tree.Close()
	}
	t.tree = tree
	if err != nil { // past the limit
		t.tree = nil
		t.parser.Reset()
	}
}

// maxParseUs bounds a parse, in microseconds: 5 MB/s is usual, but half a
// megabyte of continued empty lines takes minutes. What is cut off is left to
// the outline parser, with a problem.
const maxParseUs = 400_000

func point(src []byte, at int) sitter.Point {
	row := bytes.Count(src[:at], newline)
	return sitter.Point{Row: uint32(row), Column: uint32(at - bytes.LastIndexByte(src[:at], '\n') - 1)}
}

// Module is what the text says.
func (t *Tree) Module() *Module {
	switch doubt := t.o.parse(t.text); {
	case doubt == 0:
		return t.o.b.finish()
	case doubt&Broken == 0:
		if t.grow(); t.tree != nil && !t.tree.RootNode().HasError() {
			return t.read()
		}
	}
	return t.o.mend(t.text)
}

// read reads a tree without errors.
func (t *Tree) read() *Module {
	t.o.reset(t.src)
	t.o.b.rows = uint32(bytes.Count(t.src, newline))
	r := reader{o: &t.o, src: t.src, ns: t.walker.walk(t.tree.RootNode())}
	r.module()
	return t.o.b.finish()
}

// parseTree is the full parse of a file that the outline parser doubts.
func parseTree(src []byte) *Module {
	t := NewTree(src)
	defer t.Close()
	return t.Module()
}

// Valid reports whether a file is Python, as far as a parser can tell that
// neither compiles nor runs it.
func Valid(content []byte) bool {
	src, problem := decode(content)
	if problem != nil {
		return false
	}
	t := NewTree(src)
	defer t.Close()
	t.grow()
	return t.tree != nil && !t.tree.RootNode().HasError()
}
