package pysrc

import (
	"bytes"
	"slices"
)

// Doubt says why the outline parser does not vouch for its result.
type Doubt uint16

const (
	DoubtString  Doubt = 1 << iota // a string that does not end
	DoubtBracket                   // brackets that do not match
	DoubtHeader                    // a compound statement without its ':', or of another shape
	DoubtIndent                    // a dedent to no open block, an indent without ':', an empty suite
	DoubtTabs                      // tabs behind spaces: Python compares them another way
	DoubtImport                    // an import of no known shape
	DoubtLambda                    // a lambda in a header: its ':' is not the header's
	DoubtRows                      // rows that do not add up: a bug, caught before it shifts lines
	DoubtNUL                       // a NUL byte
	// Broken says that the first doubt is none: Python rejects the text.
	Broken
)

// scanner knows Python's lexical rules: strings, comments, brackets and line
// continuation. Positions are offsets in src; row is kept in step with them.
type scanner struct {
	src    []byte
	pos    int
	row    uint32
	endRow uint32 // row of the last byte of code seen
	doubt  Doubt

	// what scan found at bracket depth 0 of the statement
	colon, eq, lastEq int
	op                byte // of an augmented assignment

	// calls of the dynamic import functions, in the last scan
	dynamics []dynamic
	dynWork  int

	// f-strings that turned out not to close cost at most fwork bytes in all
	fwork, fat int

	mending  bool    // go on behind what is broken, see mend
	brokenAt int     // the offset of what is, when doubt says Broken
	why      string  // and what is wrong with it
	open     [2]bool // a text in three ' or " goes on to the end
}

// breaks notes a doubt in which Python rejects the text, unless there is
// another one already: what follows that may be misread.
func (s *scanner) breaks(d Doubt, at int, why string) {
	if s.doubt == 0 {
		s.doubt = Broken
		s.brokenAt, s.why = at, why
	}
	s.doubt |= d
}

// defines reports whether the line at p begins as only a statement can: what
// is open there was never closed. A decorator's "@" may be an operator, where
// nothing is known to be broken.
func (s *scanner) defines(p int) bool {
	src := s.src
	for p < len(src) && (src[p] == ' ' || src[p] == '\t') {
		p++
	}
	if p >= len(src) {
		return false
	}
	switch src[p] {
	case 'd':
		return s.word(p, "def") && s.named(p+3)
	case 'c':
		return s.word(p, "class") && s.named(p+5)
	case 'a':
		return s.word(p, "async") && p+6 < len(src) && s.word(p+6, "def")
	case '@':
		return s.mending && p+1 < len(src) && ident[src[p+1]]
	}
	return false
}

// named reports whether a blank and a name stand at p.
func (s *scanner) named(p int) bool {
	q := s.blanks(p)
	return q > p && q < len(s.src) && ident[s.src[q]]
}

type dynamic struct {
	row        uint32
	word, args Text
	noArgs     bool
}

var special, ident [256]bool

func init() {
	for _, c := range []byte("'\"#()[]{}\\\n;:=") {
		special[c] = true
	}
	for c := 0; c < 256; c++ {
		ident[c] = c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
}

// mode says where scan stops, beside the end of the logical line, a comment
// and a ';'.
type mode uint8

const (
	simple mode = iota // nowhere else
	header             // at the ':' of a compound statement
	inFunc             // at a ':' that an import or a global statement follows
)

// scan goes from p to the end of the statement there and returns the offset
// where it stopped: at a newline, '#', ';', the ':' of mode, or the end.
func (s *scanner) scan(p int, m mode, mutated func(name []byte)) int {
	src := s.src
	n := len(src)
	depth, outer := 0, 0
	s.colon, s.eq, s.lastEq, s.op = -1, -1, -1, 0
	i := p
	flat := p // where the text at depth 0 that holds no lambda yet begins
	for i < n {
		c := src[i]
		if !special[c] {
			i++
			continue
		}
		if m == header && depth == 0 {
			if bytes.Contains(src[flat:i], lambdaWord) {
				s.doubt |= DoubtLambda
			}
			flat = i
		}
		switch c {
		case '\'', '"':
			i = s.str(i, s.fprefix(i))
			flat = i
			continue
		case '#':
			if depth == 0 {
				return i
			}
			k := bytes.IndexByte(src[i:], '\n')
			if k < 0 {
				i = n
			} else {
				i += k
			}
			continue
		case '(':
			if depth++; depth == 1 {
				outer = i
			}
			if i > p {
				switch src[i-1] {
				case 'e', '_', 'p', 'h', 'r':
					s.dynamic(p, i)
				}
				if mutated != nil {
					s.mutation(p, i, mutated)
				}
			}
		case '[', '{':
			if depth++; depth == 1 {
				outer = i
			}
		case ')', ']', '}':
			depth--
			flat = i
			if depth < 0 {
				depth = 0
				s.breaks(DoubtBracket, i, "unmatched '"+string(c)+"'")
			}
		case '\\':
			if i+1 < n && src[i+1] == '\n' {
				i++
				s.row++
			} else if i+2 < n && src[i+1] == '\r' && src[i+2] == '\n' {
				i += 2
				s.row++
			}
		case ';':
			if depth == 0 {
				return i
			}
		case ':':
			if depth > 0 || i+1 < n && src[i+1] == '=' {
				break
			}
			if s.colon < 0 {
				s.colon = i
			}
			if m == header {
				return i
			}
			if m == inFunc {
				q := s.blanks(i + 1)
				if q < n && (src[q] == 'i' || src[q] == 'f' || src[q] == 'g') &&
					(s.word(q, "import") || s.word(q, "from") || s.word(q, "global")) {
					return i
				}
			}
		case '=':
			if depth == 0 {
				s.equals(p, i)
				if i+1 < n && src[i+1] == '=' {
					i++
				}
			}
		case '\n':
			if depth == 0 {
				return i
			}
			if s.defines(i + 1) {
				s.unclosed(outer)
				return i
			}
			s.row++
		}
		i++
	}
	if depth > 0 {
		s.unclosed(outer)
	}
	return n
}

func (s *scanner) unclosed(at int) {
	s.breaks(DoubtBracket, at, "'"+string(s.src[at])+"' was never closed")
}

var lambdaWord = []byte("lambda")

// equals notes a '=' at depth 0: an assignment, or part of an operator.
func (s *scanner) equals(p, i int) {
	if i+1 < len(s.src) && s.src[i+1] == '=' {
		return
	}
	if i > p {
		switch c := s.src[i-1]; c {
		case '=', '!', '<', '>':
			if i < p+2 || s.src[i-2] != c || c == '=' || c == '!' {
				return
			}
			fallthrough // <<= and >>=
		case '+', '-', '*', '/', '%', '&', '|', '^', '@':
			if s.op == 0 && s.eq < 0 {
				s.op = c
				s.eq, s.lastEq = i, i
			}
			return
		case ':':
			return
		}
	}
	if s.eq < 0 {
		s.eq = i
	} else if bytes.Contains(s.src[s.lastEq:i], lambdaWord) {
		return // the default of a lambda's parameter
	}
	s.lastEq = i
}

// bracket returns the offset behind the bracket that closes the one at i, or
// -1 when none does.
func (s *scanner) bracket(i int) int {
	src := s.src
	n := len(src)
	depth, open := 0, i
	for i < n {
		switch src[i] {
		case '\'', '"':
			i = s.str(i, s.fprefix(i))
			continue
		case '#':
			k := bytes.IndexByte(src[i:], '\n')
			if k < 0 {
				s.unclosed(open)
				return -1
			}
			i += k
			continue
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
			if depth == 0 {
				return i + 1
			}
		case '\n':
			if s.defines(i + 1) {
				s.unclosed(open)
				return -1
			}
			s.row++
		}
		i++
	}
	s.unclosed(open)
	return -1
}

// dynamicWords are functions that import what a string names. The soft ones,
// of which the first is at firstSoft, do so only where that string is a
// literal, and name what is in a module: mock's and mocker's patch,
// monkeypatch's setattr and delattr, pkgutil's resolve_name, runpy's
// run_module. The last byte of each stands in scan.
var dynamicWords = [...]string{"import_module", "__import__", "importorskip", "patch", "setattr", "delattr", "resolve_name", "run_module"}

const firstSoft = 3

// SoftDynamic reports whether the word of a Dynamic statement is a soft one: its
// argument names what is in a module, and may be no name at all.
func SoftDynamic(word string) bool {
	return slices.Contains(dynamicWords[firstSoft:], word)
}

// dynamic notes a call of a dynamic import function whose '(' stands at i.
func (s *scanner) dynamic(p, i int) {
	for n, w := range dynamicWords {
		k := i - len(w)
		if k < p || string(s.src[k:i]) != w || k > 0 && ident[s.src[k-1]] {
			continue
		}
		if n >= firstSoft && !s.literal(i+1) {
			return
		}
		d := dynamic{row: s.row, word: text(k, i), noArgs: true}
		if s.dynWork <= 4*len(s.src) {
			row, doubt := s.row, s.doubt
			if e := s.bracket(i); e >= 0 {
				d.args, d.noArgs = text(i+1, e-1), false
				s.dynWork += e - i
			} else {
				s.dynWork += len(s.src) - i
			}
			s.row, s.doubt = row, doubt
		}
		s.dynamics = append(s.dynamics, d)
		return
	}
}

// literal reports whether a string literal without a prefix stands at i, behind
// blanks and line ends.
func (s *scanner) literal(i int) bool {
	for i < len(s.src) && (s.src[i] == ' ' || s.src[i] == '\t' || s.src[i] == '\n' || s.src[i] == '\r') {
		i++
	}
	return i < len(s.src) && (s.src[i] == '"' || s.src[i] == '\'')
}

// mutators are the methods that change a list, dict, set or deque in place.
var mutators = [...]string{
	"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "add", "discard", "update", "setdefault",
	"appendleft", "extendleft", "popitem",
}

// mutation notes "NAME.append(" and the like, the '(' standing at i.
func (s *scanner) mutation(p, i int, f func(name []byte)) {
	src := s.src
	k := i
	for k > p && src[k-1] >= 'a' && src[k-1] <= 'z' {
		k--
	}
	if k <= p+1 || src[k-1] != '.' || i-k < 3 {
		return
	}
	e := k - 1
	b := e
	for b > p && ident[src[b-1]] {
		b--
	}
	if b == e || b > 0 && src[b-1] == '.' {
		return
	}
	for _, w := range mutators {
		if string(src[k:i]) == w {
			f(src[b:e])
			return
		}
	}
}

func (s *scanner) blanks(p int) int {
	for p < len(s.src) && (s.src[p] == ' ' || s.src[p] == '\t' || s.src[p] == '\f') {
		p++
	}
	return p
}

// gap skips blanks and continued line ends.
func (s *scanner) gap(p int) int {
	src := s.src
	n := len(src)
	for p < n {
		switch {
		case src[p] == ' ' || src[p] == '\t' || src[p] == '\f':
			p++
		case src[p] == '\\' && p+1 < n && src[p+1] == '\n':
			p += 2
			s.row++
		case src[p] == '\\' && p+2 < n && src[p+1] == '\r' && src[p+2] == '\n':
			p += 3
			s.row++
		default:
			return p
		}
	}
	return p
}

// word reports whether the identifier w stands at p.
func (s *scanner) word(p int, w string) bool {
	e := p + len(w)
	return e <= len(s.src) && string(s.src[p:e]) == w && (e == len(s.src) || !ident[s.src[e]])
}

// name returns the offset behind the identifier at p.
func (s *scanner) name(p int) int {
	for p < len(s.src) && ident[s.src[p]] {
		p++
	}
	return p
}

// atEOL reports whether nothing but a comment follows p on its line.
func (s *scanner) atEOL(p int) bool {
	return p >= len(s.src) || s.src[p] == '\n' || s.src[p] == '#' || s.src[p] == '\r'
}

// skipLine moves pos behind the line end that follows p.
func (s *scanner) skipLine(p int) {
	k := bytes.IndexByte(s.src[p:], '\n')
	if k < 0 {
		s.pos = len(s.src)
		return
	}
	s.pos = p + k + 1
	s.row++
}

// trim returns the end of the text [from, to) without trailing blanks and
// continued line ends.
func (s *scanner) trim(from, to int) int {
	for to > from {
		switch s.src[to-1] {
		case ' ', '\t', '\f', '\r', '\n', '\\':
			to--
		default:
			return to
		}
	}
	return to
}
