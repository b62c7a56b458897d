package pyexpr

// Displays, comprehensions and parameters.

func (p *parser) paren() *Node {
	p.next()
	if p.accept(")") {
		return p.node(Tuple, "")
	}
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	first := p.starExpr(true)
	if p.isWord("for") || p.isWord("async") {
		n := p.comprehension(GenExp, first)
		p.expect(")")
		return n
	}
	if !p.is(",") {
		p.expect(")")
		return first
	}
	kids := []*Node{first}
	for p.accept(",") {
		if p.is(")") {
			break
		}
		kids = append(kids, p.starExpr(true))
	}
	p.expect(")")
	return p.node(Tuple, "", kids...)
}

// display parses a list or set behind its opening bracket.
func (p *parser) display(plain, comp Kind, end string) *Node {
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	if p.accept(end) {
		return p.node(plain, "")
	}
	return p.elements(p.starExpr(true), plain, comp, end)
}

func (p *parser) elements(first *Node, plain, comp Kind, end string) *Node {
	if p.isWord("for") || p.isWord("async") {
		n := p.comprehension(comp, first)
		p.expect(end)
		return n
	}
	kids := []*Node{first}
	for p.accept(",") {
		if p.is(end) {
			break
		}
		kids = append(kids, p.starExpr(true))
	}
	p.expect(end)
	return p.node(plain, "", kids...)
}

func (p *parser) braces() *Node {
	if p.depth++; p.depth > maxDepth {
		return p.fail()
	}
	defer func() { p.depth-- }()
	if p.accept("}") {
		return p.node(Dict, "")
	}
	var kids []*Node
	if p.is("**") {
		kids = p.pair(kids)
	} else {
		first := p.starExpr(true)
		if !p.is(":") {
			return p.elements(first, Set, SetComp, "}")
		}
		p.next()
		kids = append(kids, first, p.expr())
		if p.isWord("for") || p.isWord("async") {
			n := p.comprehension(DictComp, kids...)
			p.expect("}")
			return n
		}
	}
	for p.accept(",") {
		if p.is("}") {
			break
		}
		kids = p.pair(kids)
	}
	p.expect("}")
	return p.node(Dict, "", kids...)
}

func (p *parser) pair(kids []*Node) []*Node {
	if p.accept("**") {
		return append(kids, p.node(DoubleStar, "", p.binary(5)), p.node(Invalid, ""))
	}
	key := p.expr()
	p.expect(":")
	return append(kids, key, p.expr())
}

func (p *parser) comprehension(kind Kind, elements ...*Node) *Node {
	n := p.node(kind, "", elements...)
	for !p.bad {
		p.acceptWord("async")
		switch {
		case p.acceptWord("for"):
			target := p.target()
			if !p.acceptWord("in") {
				return p.fail()
			}
			n.Kids = append(n.Kids, p.node(CompFor, "", target, p.binary(1)))
		case p.acceptWord("if"):
			cond := p.binary(1)
			if cond.Kind == Name && p.accept(":=") {
				cond = p.node(Walrus, cond.Text, p.expr())
			}
			n.Kids = append(n.Kids, p.node(CompIf, "", cond))
		default:
			return n
		}
	}
	return n
}

// target parses the loop variables of a comprehension.
func (p *parser) target() *Node {
	one := func() *Node {
		if p.accept("*") {
			return p.node(Star, "", p.binary(5))
		}
		return p.binary(5)
	}
	first := one()
	if !p.is(",") {
		return first
	}
	kids := []*Node{first}
	for p.accept(",") {
		if p.isWord("in") {
			break
		}
		kids = append(kids, one())
	}
	return p.node(Tuple, "", kids...)
}

// params parses the parameters of a def (with annotations) or lambda.
func (p *parser) params(annotated bool) []Param {
	var out []Param
	kind := PositionalOrKeyword
	for p.tok.kind != tEOF && !p.is(":") && !p.bad {
		switch {
		case p.accept("/"):
			for i := range out {
				out[i].Kind = PositionalOnly
			}
		case p.accept("**"):
			out = append(out, p.param(VarKeyword, annotated))
		case p.accept("*"):
			if !p.is(",") {
				out = append(out, p.param(VarPositional, annotated))
			}
			kind = KeywordOnly
		default:
			out = append(out, p.param(kind, annotated))
		}
		if !p.accept(",") {
			break
		}
	}
	return out
}

func (p *parser) param(kind ParamKind, annotated bool) Param {
	q := Param{Name: Identifier(p.tok.text), Kind: kind}
	if p.tok.kind != tName {
		p.fail()
		return q
	}
	p.next()
	if annotated && p.accept(":") {
		p.starExpr(true)
	}
	if p.accept("=") {
		q.Default = true
		q.Value = p.expr()
	}
	return q
}
