package pysrc

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Function is an outermost function or method of a file: what stands in its
// body belongs to it, nested functions and lambdas too.
type Function struct {
	Name string // as Python's __qualname__
	// Outline is what a caller can tell of the body without running it: its
	// docstring, and whether it makes a generator or a coroutine.
	Outline string
	Body    []byte // the rest
	Own     []byte // of Body what stands in no arm
	Arms    []Arm
}

// Functions parts a file into the bodies of its functions, in the order of the
// text, and all else: the statements of the module and of classes, decorators
// and headers. ok is false for a file that cannot be parted for certain.
func Functions(content []byte) (all []Function, rest []byte, ok bool) {
	src, problem := decode(content)
	if problem != nil {
		return nil, nil, false
	}
	o := outline{colons: map[uint32]int{}}
	if o.parse(src) != 0 {
		return nil, nil, false
	}
	rows := []int{0}
	for i, c := range src {
		if c == '\n' {
			rows = append(rows, i+1)
		}
	}
	row := rowsOf(slices.Clone(rows))
	rows = append(rows, len(src))
	at := 0
	var names []string // of the open classes
	var ends []uint32
	for i := uint32(0); i < uint32(len(o.b.stmts)); i++ {
		s := &o.b.stmts[i]
		for len(ends) > 0 && ends[len(ends)-1] <= i {
			names, ends = names[:len(names)-1], ends[:len(ends)-1]
		}
		name := string(src[s.A.Off : s.A.Off+s.A.Len])
		switch s.Kind {
		case Class:
			names, ends = append(names, name), append(ends, s.Next)
		case Def:
			colon, read := o.colons[i]
			end := rows[min(int(s.EndRow)+1, len(rows)-1)]
			if !read || colon < at || end < colon {
				return nil, nil, false
			}
			f := Function{Name: strings.Join(append(slices.Clip(names), name), "."), Body: src[colon:end]}
			before := src[at:colon]
			if at > 0 {
				before = comments(before)
			}
			rest = append(append(rest, before...), 0)
			if !compiled.Match(o.decorators(i)) && f.split() {
				behind := end - len(f.Body)
				f.part(func(p int) int { return row(behind + p) })
				all = append(all, f)
			} else {
				rest = append(append(rest, src[colon:end]...), 0)
			}
			at = end
		}
	}
	last := src[at:]
	if at > 0 {
		last = comments(last)
	}
	rest = append(rest, last...)
	// A function that a class declares global has another name than its place.
	return all, rest, !global.Match(rest)
}

var global = regexp.MustCompile(`(?m)^[ \t]+global\b`)

// compiled are decorators that translate a function, which is then run by
// other means than Python's.
var compiled = regexp.MustCompile(`\b(n?jit|vectorize|guvectorize|stencil|cfunc|compile|script|kernel)\b`)

// decorators is the text of a statement's decorators.
func (o *outline) decorators(i uint32) (text []byte) {
	for c := i + 1; c < uint32(len(o.b.stmts)) && o.b.stmts[c].Kind == Decorator; c++ {
		a := o.b.stmts[c].A
		text = append(append(text, o.src[a.Off:a.Off+a.Len]...), '\n')
	}
	return text
}

// comments drops the rows of comments, and empty ones, that follow the body of
// a function: text begins behind it, so they are in no string.
func comments(text []byte) []byte {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, newline)
		if t := bytes.TrimLeft(line, " \t\f\r"); len(t) > 0 && t[0] != '#' {
			break
		}
		text = rest
	}
	return text
}

// split takes the outline out of the body; false when it cannot be told.
func (f *Function) split() bool {
	s := scanner{src: f.Body}
	p := s.code(0, false)
	doc := s.code(p, true) // brackets may be around a docstring
	for doc < len(s.src) && stringPrefix(s.src[doc]) {
		doc++
	}
	if doc < len(s.src) && (s.src[doc] == '"' || s.src[doc] == '\'') {
		end := s.scan(p, simple, nil)
		f.Outline = string(s.src[p:end])
		f.Body = f.Body[end:]
	}
	words := words(f.Body)
	if words == nil {
		return false
	}
	for _, w := range telling {
		f.Outline += "\x00" + w + strconv.Itoa(words[w]) + "," + strconv.Itoa(words["f"+w])
	}
	return true
}

// code returns the offset of the first byte of code at or behind p, or behind
// brackets too.
func (s *scanner) code(p int, brackets bool) int {
	for p < len(s.src) {
		switch s.src[p] {
		case '#':
			s.skipLine(p)
			p = s.pos
			continue
		case ' ', '\t', '\f', '\n', '\r', '\\':
		case '(':
			if !brackets {
				return p
			}
		default:
			return p
		}
		p++
	}
	return p
}

// telling are the words by which a body shows in what the function is: yield
// and await make it a generator or coroutine, the two others add to the
// namespace that a class is made of.
var telling = []string{"yield", "await", "super", "__class__", "global", "nonlocal"}

// words counts the telling words of a text, those in formatted strings apart;
// nil when that cannot be told.
func words(text []byte) map[string]int {
	s := scanner{src: text}
	found := map[string]int{}
	count := func(word []byte, prefix string) {
		if slices.Contains(telling, string(word)) {
			found[prefix+string(word)]++
		}
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '#':
			if k := bytes.IndexByte(text[i:], '\n'); k >= 0 {
				i += k
			} else {
				i = len(text)
			}
		case c == '\'' || c == '"':
			f := s.fprefix(i)
			end := s.str(i, f)
			if s.doubt != 0 || end <= i {
				return nil
			}
			if f {
				for k := i; k < end; {
					if !ident[text[k]] {
						k++
						continue
					}
					e := s.name(k)
					count(text[k:min(e, end)], "f")
					k = e
				}
			}
			i = end
		case ident[c]:
			e := s.name(i)
			count(text[i:e], "")
			i = e
		default:
			i++
		}
	}
	return found
}
