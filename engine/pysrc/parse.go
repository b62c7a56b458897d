package pysrc

import (
	"sync"
)

// Parse reads a file's bytes. It keeps nothing of them.
func Parse(content []byte) *Module {
	src, problem := decode(content)
	o := outlines.Get().(*outline)
	defer outlines.Put(o)
	var m *Module
	switch doubt := o.parse(src); {
	case doubt == 0:
		m = o.b.finish()
	case doubt&Broken != 0:
		m = o.mend(src)
	default:
		m = parseTree(src)
	}
	o.src, o.b.src = nil, nil
	return m.with(problem)
}

// ParseDoubt is Parse by the outline parser alone, with what it doubts.
func ParseDoubt(content []byte) (*Module, Doubt) {
	src, _ := decode(content)
	var o outline
	doubt := o.parse(src)
	return o.b.finish(), doubt
}

var outlines = sync.Pool{New: func() any { return new(outline) }}

// with returns the Module with one more problem in front.
func (m *Module) with(p *Problem) *Module {
	if p == nil {
		return m
	}
	b := builder{src: []byte(m.text), stmts: m.Stmts, doctest: m.Doctest, rows: m.Rows}
	b.problems = append([]Problem{*p}, m.Problems...)
	return b.finish()
}
