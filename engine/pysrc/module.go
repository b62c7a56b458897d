// Package pysrc turns Python source into a Module: the statements that decide
// which tests, fixtures and imports a file has, without the bodies of its
// functions. It is the only user of tree-sitter.
//
// There are two ways to the same Module. All goes through the outline parser
// first (outline.go), which follows Python's lexical rules and the indentation
// and needs no C. What it doubts goes to tree-sitter, for open buffers to a
// tree that is edited incrementally (tree_cgo.go). Tests hold both to equal
// Modules over whole installations. A text that is surely broken, as most are
// while they are typed, is mended by the outline parser: around an error
// tree-sitter loses definitions, takes ten times as long, and what it finds
// depends on the edits before.
//
// Parsing cannot fail: bad Python yields a Module with Problems.
package pysrc

import (
	"strings"
	"unsafe"
)

// Kind is the kind of a statement.
type Kind uint8

const (
	None       Kind = iota
	Def             // A: name, B: text of the parameters
	Class           // A: name, B: text of the bases and keywords
	Decorator       // A: expression; the first children of a Def or Class
	Import          // children: Alias
	FromImport      // A: module without dots, Level: number of dots; children: Alias
	Alias           // A: dotted name or "*", B: name after "as" or ""
	Assign          // A: targets ("a", "a = b", "a, b", "a.b"), B: value; annotations are dropped
	AugAssign       // A: target, B: value, Level: operator byte
	Expr            // A: expression
	Del             // A: targets
	Raise           // A: expression or ""
	Return          // A: expression or ""; only where the text of a function's body is parsed by itself
	If              // A: condition. Elif and Else follow as siblings
	Elif            // A: condition
	Else            //
	Try             // Except, Else and Finally follow as siblings
	Except          // A: what is caught or ""
	Finally         //
	For             // A: target, B: iterable
	While           // A: condition
	With            // A: items
	Match           // A: subject; children: Case
	Case            // A: pattern and guard
	Dynamic         // A: import_module, __import__, importorskip or a SoftDynamic; B: arguments; behind the statement that holds the call
	Body            // A: the text of a function's body, of those that may make values or tests: see keepBody
	Break           //
	Continue        //
	Mutate          // A: a module-level name that the body of a function changes in place or rebinds; at the end of the module
)

// Flag qualifies a statement.
type Flag uint8

const (
	Async        Flag = 1 << iota // async def, for, with
	Doctest                       // the docstring of a Def or Class holds an example
	InFunc                        // an import in the body of a function
	InTry                         // an import in a try block of that body
	TypeChecking                  // an import under "if TYPE_CHECKING" of that body
	Cut                           // B (of an Expr: A) was too long to keep and is ""
	Yields                        // a Def whose body holds a yield at statement level
)

// Text is a range of a Module's text.
type Text struct{ Off, Len uint32 }

// Stmt is one statement. Statements stand in preorder: the children of
// statement i are i+1, next(i+1), ... while smaller than Next. Rows and
// columns count from 0; columns are bytes of the UTF-8 text.
type Stmt struct {
	Kind   Kind
	Flags  Flag
	Level  uint16
	Next   uint32 // index of the first statement behind this one and its children
	Row    uint32 // first row; of a decorated Def or Class the row of the first decorator
	Head   uint32 // row of the statement itself ("def", "class")
	EndRow uint32 // last row with code, of Def and Class only
	Col    uint32 // of a Def or Class the column of its name; else of its first byte
	A, B   Text
}

// Problem is something in the source that Python rejects.
type Problem struct {
	Row, Col uint32
	Message  string
}

// Module is what one source text says, and nothing from any other file. It is
// immutable, and may read memory that it does not own: see Decode.
type Module struct {
	data     []byte // the encoding, see flat.go
	Stmts    []Stmt
	text     string
	Problems []Problem
	Doctest  bool   // the module's docstring holds an example
	Rows     uint32 // number of line ends
}

// Text returns the text of t. It shares memory with the Module: clone what
// outlives it.
func (m *Module) Text(t Text) string { return m.text[t.Off : t.Off+t.Len] }

// A returns the first text of statement i.
func (m *Module) A(i uint32) string { return m.Text(m.Stmts[i].A) }

// B returns the second text of statement i.
func (m *Module) B(i uint32) string { return m.Text(m.Stmts[i].B) }

// End returns the index behind the last statement.
func (m *Module) End() uint32 { return uint32(len(m.Stmts)) }

// Body calls f for each statement in the range [i, end) of siblings.
func (m *Module) Body(i, end uint32, f func(i uint32) bool) {
	for ; i < end; i = m.Stmts[i].Next {
		if !f(i) {
			return
		}
	}
}

// Decorators returns the indices of the decorators of a Def or Class, and the
// index where its other children begin.
func (m *Module) Decorators(i uint32) (decorators []uint32, body uint32) {
	c := i + 1
	for c < m.Stmts[i].Next && m.Stmts[c].Kind == Decorator {
		decorators = append(decorators, c)
		c++
	}
	return decorators, c
}

// String lists the statements, for tests and messages.
func (m *Module) String() string {
	var b strings.Builder
	m.format(&b, 0, m.End(), 0)
	if m.Doctest {
		b.WriteString("doctest\n")
	}
	return b.String()
}

// builder collects statements whose texts are ranges of the source, and packs
// them into a Module.
type builder struct {
	src      []byte
	stmts    []Stmt
	problems []Problem
	doctest  bool
	rows     uint32
	mutated  map[string]struct{}
}

func (b *builder) reset(src []byte) {
	*b = builder{src: src, stmts: b.stmts[:0], mutated: b.mutated}
	clear(b.mutated)
}

// add appends a statement without children and returns its index.
func (b *builder) add(s Stmt) uint32 {
	i := uint32(len(b.stmts))
	s.Next = i + 1
	b.stmts = append(b.stmts, s)
	return i
}

// close ends the children of statement i.
func (b *builder) close(i uint32) { b.stmts[i].Next = uint32(len(b.stmts)) }

func (b *builder) mutate(name []byte) {
	if b.mutated == nil {
		b.mutated = map[string]struct{}{}
	}
	if _, dup := b.mutated[string(name)]; !dup {
		b.mutated[string(name)] = struct{}{}
	}
}

func text(from, to int) Text { return Text{uint32(from), uint32(to - from)} }

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
