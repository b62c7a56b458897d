// Package pyexpr parses Python expressions: values, decorators, base classes,
// conditions, parameters. pysrc keeps them as text, because most are never
// looked at; the few that decide about a test's id are parsed on demand,
// without cgo and without a copy of the text.
package pyexpr

// Kind is the kind of a node, named as in Python's ast module.
type Kind uint8

const (
	Invalid    Kind = iota
	Name            // Text
	Int             // Text: digits as written
	Float           // Text
	Imag            // Text without the "j"
	Str             // Text: the value; lone surrogates as three bytes (WTF-8)
	Bytes           // Text: the value
	FString         // Kids: Str and Field
	Field           // Kids: expression and, optionally, FString (format); Text: conversion; Op '=' with "=": Kids[0].. and the source in a Str before it
	Const           // Text: True, False, None, ...
	Tuple           // Kids
	List            // Kids
	Set             // Kids
	Dict            // Kids: key, value, key, value; a DoubleStar stands alone in front of an Invalid
	Call            // Kids: function, arguments (Star, DoubleStar, Keyword or expression)
	Keyword         // Text: name; Kids: value
	Attribute       // Text: name; Kids: value
	Subscript       // Kids: value, index
	Slice           // Kids: three, nil where absent
	Unary           // Op: + - ~ or 'n' for not; Kids: operand
	Binary          // Op: + - * / % @ & | ^ and 'd' // , 'p' ** , 'l' << , 'r' >>; Kids: two
	And             // Kids
	Or              // Kids
	Compare         // Ops: one fewer than Kids
	IfExp           // Kids: body, test, orelse
	Lambda          // Text: the source; Kids: body
	ListComp        // Kids: element, clauses (CompFor, CompIf)
	SetComp         // as ListComp
	GenExp          // as ListComp
	DictComp        // Kids: key, value, clauses
	CompFor         // Kids: target, iterable
	CompIf          // Kids: condition
	Star            // Kids: value
	DoubleStar      // Kids: value
	Walrus          // Text: name; Kids: value
	Await           // Kids: value
	Yield           // what it yields is not kept
	Opaque          // valid, but of a value that this package does not read: t-strings, rare names in "\N{...}"
)

// Node is a node of an expression. Nodes are immutable once parsed.
type Node struct {
	Kind Kind
	Op   byte
	Text string
	Ops  []string // of a Compare: < > == >= <= != in, not in, is, is not
	Kids []*Node
}

// Dotted returns "a.b.c" for names and attributes of names, else "".
func (n *Node) Dotted() string {
	switch n.Kind {
	case Name:
		return n.Text
	case Attribute:
		if head := n.Kids[0].Dotted(); head != "" {
			return head + "." + n.Text
		}
	}
	return ""
}

// Args splits the arguments of a Call, or the result of ParseArgs. Starred
// arguments make exact false: what they hold is not known from the text.
func Args(args []*Node) (positional []*Node, keywords map[string]*Node, exact bool) {
	exact = true
	for _, a := range args {
		switch a.Kind {
		case Star, DoubleStar:
			exact = false
		case Keyword:
			if keywords == nil {
				keywords = map[string]*Node{}
			}
			keywords[a.Text] = a.Kids[0]
		default:
			positional = append(positional, a)
		}
	}
	return positional, keywords, exact
}

// Walk calls f for n and all nodes below it, parents first, while f says true.
func (n *Node) Walk(f func(*Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, k := range n.Kids {
		k.Walk(f)
	}
}

// ParamKind is how a parameter takes its argument (inspect.Parameter.kind).
type ParamKind uint8

const (
	PositionalOnly ParamKind = iota
	PositionalOrKeyword
	VarPositional
	KeywordOnly
	VarKeyword
)

// Param is one parameter of a function.
type Param struct {
	Name    string
	Kind    ParamKind
	Default bool
	Value   *Node // the default
}
