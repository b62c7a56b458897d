package pysrc

import (
	"bytes"
	"maps"
	"slices"
	"sort"
	"strconv"
)

// Arm is an indented block in the body of a function: of an if, a loop, a
// nested function. Who runs none of its rows does not see what stands in it.
type Arm struct {
	Name     string // of the function, a ':', and which block in which
	From, To int    // rows, from 1
	Own      []byte // what stands in it, but for its own arms
}

// line is a logical line in the body of a function.
type line struct {
	col        int
	start, end int
	opens      bool // its last character is a ':'
	shows      bool // when it runs, Python tells of one of its rows
	scope      bool // it begins a nested function or class
	binds      []string
}

// open is a block that goes on.
type open struct {
	col   int
	arm   int // of all, -1 for the body
	scope string
}

// part divides the body into what belongs to it and its arms. row says in which
// row of the file an offset of the body is. Where blocks cannot be told for
// certain all is the body's own.
func (f *Function) part(row func(int) int) {
	f.Own = f.Body
	lines := logical(f.Body)
	if len(lines) == 0 {
		return
	}
	var own bytes.Buffer
	var arms []Arm
	texts := map[int]*bytes.Buffer{-1: &own}
	names := map[int]string{-1: f.Name + ":"}
	count, scopes := map[int]int{}, map[string]int{}
	binds := map[string]bool{}
	stack := []open{{lines[0].col, -1, ""}}
	for i, l := range lines {
		for len(stack) > 1 && l.col < stack[len(stack)-1].col {
			texts[stack[len(stack)-1].arm].WriteString("\x00<")
			stack = stack[:len(stack)-1]
		}
		top := stack[len(stack)-1]
		if l.col != top.col {
			return
		}
		text := texts[top.arm]
		text.WriteByte(0)
		text.Write(f.Body[l.start:l.end])
		for _, b := range l.binds {
			binds[top.scope+b] = true
		}
		for _, o := range stack[1:] {
			if o.arm >= 0 {
				arms[o.arm].To = row(l.end - 1)
			}
		}
		if i+1 == len(lines) || lines[i+1].col <= l.col {
			continue
		}
		if !l.opens {
			return
		}
		next := open{lines[i+1].col, top.arm, top.scope}
		if l.scope {
			next.scope += strconv.Itoa(scopes[top.scope]) + "."
			scopes[top.scope]++
		}
		text.WriteString("\x00>")
		if lines[i+1].shows {
			next.arm = len(arms)
			arms = append(arms, Arm{Name: names[top.arm] + strconv.Itoa(count[top.arm]), From: row(lines[i+1].start)})
			count[top.arm]++
			names[next.arm], texts[next.arm] = arms[next.arm].Name+".", new(bytes.Buffer)
			text.WriteByte('*')
		}
		stack = append(stack, next)
	}
	if len(arms) == 0 {
		return
	}
	// A name that is bound anywhere is the function's everywhere.
	for _, b := range slices.Sorted(maps.Keys(binds)) {
		own.WriteString("\x00=" + b)
	}
	f.Own, f.Arms = own.Bytes(), arms
	for i := range arms {
		arms[i].Own = texts[i].Bytes()
	}
}

// logical reads the logical lines of a body that begins behind its header; none
// when it stands in the header's row, or is not clear.
func logical(src []byte) (all []line) {
	s := scanner{src: src}
	first := s.code(0, false)
	s.pos = bytes.LastIndexByte(src[:first], '\n') + 1
	if s.pos == 0 {
		return nil
	}
	for s.pos < len(src) {
		var l line
		p := s.pos
		for ; p < len(src) && (src[p] == ' ' || src[p] == '\t'); p++ {
			if l.col++; src[p] == '\t' {
				if l.col%8 != 1 {
					return nil // tabs behind spaces
				}
				l.col += 7
			}
		}
		if s.atEOL(p) {
			s.skipLine(min(p, len(src)))
			continue
		}
		if src[p] == '\\' || src[p] == '\f' {
			return nil
		}
		l.start = p
		for end := p; ; p = end {
			end = s.scan(p, simple, nil)
			l.statement(&s, p, s.trim(p, end))
			if l.end = s.trim(l.start, end); end >= len(src) || src[end] != ';' {
				s.skipLine(min(end, len(src)))
				break
			}
			if end = s.gap(end + 1); s.atEOL(end) {
				s.skipLine(min(end, len(src)))
				break
			}
		}
		if s.doubt != 0 {
			return nil
		}
		l.opens = src[l.end-1] == ':'
		all = append(all, l)
	}
	return all
}

// always are the words by which statements begin of which Python always tells
// when they run; of a constant, an annotation or a global it may not.
var always = []string{
	"return", "raise", "if", "for", "while", "try", "with", "import", "from", "assert", "del", "pass", "break", "continue", "yield",
	"await", "async", "def", "class", "match",
}

// statement takes in one statement, [p, end), behind the scan of it.
func (l *line) statement(s *scanner, p, end int) {
	text := s.src[p:end]
	first := p == l.start
	e := s.name(p)
	word := string(s.src[p:min(e, end)])
	if first {
		l.shows = s.eq >= 0 || bytes.IndexByte(text, '(') >= 0 || len(text) > 0 && text[0] == '@' || slices.Contains(always, word)
		switch {
		case e > p && (e == end || s.src[e] == '"' || s.src[e] == '\''), len(text) > 0 && (text[0] == '"' || text[0] == '\'' || text[0] == '('):
			l.shows = l.shows && slices.Contains(always, word) // it may be a constant
		}
	}
	bind := func(b []byte) { l.binds = append(l.binds, string(bytes.TrimSpace(b))) }
	opens := len(text) > 0 && text[len(text)-1] == ':'
	switch {
	case bytes.Contains(text, []byte(":=")):
		bind(text)
		return
	case word == "async":
		q := s.gap(e)
		k := s.name(q)
		word = string(s.src[q:min(k, end)])
	}
	switch word {
	case "def", "class":
		l.scope = first
		head, _, _ := bytes.Cut(text, []byte("("))
		bind(head)
	case "import", "from", "global", "nonlocal", "del", "case", "type":
		bind(text)
		return
	case "for":
		if i := bytes.Index(text, []byte(" in ")); i >= 0 {
			bind(text[:i])
		} else {
			bind(text)
		}
	case "with", "except":
		if bytes.Contains(text, []byte("as")) {
			bind(text)
		}
	}
	switch colon := s.colon; {
	case slices.Contains(headers, word):
		switch {
		case opens || colon < 0 || colon >= end:
		case word == "def" || word == "class": // names of its own
			bind(text)
		default: // what it heads stands in its row
			q := s.gap(colon + 1)
			to := s.scan(q, simple, nil)
			l.statement(s, q, s.trim(q, to))
		}
	case s.eq >= 0 && s.lastEq <= end:
		to := s.lastEq
		if s.op != 0 {
			to = s.eq - 1
		}
		if target := s.src[p:max(p, to)]; !attribute(bytes.TrimSpace(target)) {
			bind(target)
		}
	case colon >= 0 && colon < end && !slices.Contains(always, word):
		bind(s.src[p:colon]) // an annotation
	}
}

// headers are the words that begin what heads a block.
var headers = []string{"if", "elif", "else", "for", "while", "try", "except", "finally", "with", "def", "class"}

// attribute reports whether a target is an attribute or item, which binds no
// name: a name, and then only what is got from it.
func attribute(t []byte) bool {
	i := 0
	for i < len(t) && ident[t[i]] {
		i++
	}
	if i == 0 || i == len(t) || slices.Contains(always, string(t[:i])) {
		return false
	}
	for i < len(t) {
		switch {
		case t[i] == '.':
			k := i + 1
			for k < len(t) && ident[t[k]] {
				k++
			}
			if k == i+1 {
				return false
			}
			i = k
		case t[i] == '[' || t[i] == '(':
			s := scanner{src: t}
			if i = s.bracket(i); i < 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// rowsOf finds the rows of offsets.
func rowsOf(rows []int) func(offset int) int {
	return func(offset int) int { return sort.SearchInts(rows, offset+1) }
}
