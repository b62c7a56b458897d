package pysrc

import "bytes"

// Strings. f-strings follow PEP 701: replacement fields hold any expression,
// strings with the same quotes included. A literal that does not fit is read
// by the rule before 3.12, where the first closing quote ends it.

const (
	maxDepth = 12 // nesting of f-strings and fields; CPython stops at 150, code at 3
	// fBudget bounds the bytes scanned for f-strings that did not close, as a
	// multiple of the file: without it "f'{" repeated costs the square.
	fBudget = 4
)

var newline = []byte("\n")

// fprefix reports whether the quote at q opens an f-string or t-string.
func (s *scanner) fprefix(q int) bool {
	src := s.src
	if q == 0 {
		return false
	}
	a := src[q-1] | 0x20
	if a != 'f' && a != 't' && a != 'r' {
		return false
	}
	if q == 1 || !ident[src[q-2]] {
		return a != 'r'
	}
	if q > 2 && ident[src[q-3]] {
		return false
	}
	b := src[q-2] | 0x20
	return a == 'r' && (b == 'f' || b == 't') || b == 'r' && a != 'r'
}

func (s *scanner) raw(q int) bool {
	for k := 1; k <= 2 && q-k >= 0 && ident[s.src[q-k]]; k++ {
		if s.src[q-k]|0x20 == 'r' {
			return true
		}
	}
	return false
}

// str returns the offset behind the string whose opening quote stands at q.
// One that does not end is in doubt.
func (s *scanner) str(q int, f bool) int {
	src := s.src
	n := len(src)
	c := src[q]
	triple := q+2 < n && src[q+1] == c && src[q+2] == c
	body := q + 1
	if triple {
		body = q + 3
	} else if body < n && src[body] == c {
		return q + 2
	}
	if f {
		row, doubt := s.row, s.doubt
		if e := s.fstr(body, c, triple, s.raw(q), 0); e >= 0 {
			return e
		}
		s.row, s.doubt = row, doubt
	}
	if triple {
		return s.tripleEnd(q, body, c, f)
	}
	for i := body; i < n; i++ {
		switch src[i] {
		case c:
			return i + 1
		case '\\':
			i = s.escape(i)
		case '\n':
			s.endless(q, f)
			return i
		}
	}
	s.endless(q, f)
	return n
}

// endless notes a string that does not end. How a formatted one is meant may
// have been misread.
func (s *scanner) endless(q int, f bool) {
	if f {
		s.doubt |= DoubtString
		return
	}
	s.breaks(DoubtString, q, "this string is never closed")
}

func (s *scanner) tripleEnd(q, body int, c byte, f bool) int {
	src := s.src
	i := body
	quote := 0
	if c == '"' {
		quote = 1
	}
	if s.open[quote] {
		return s.cut(body)
	}
	for {
		k := bytes.IndexByte(src[i:], c)
		if k < 0 {
			s.endless(q, f)
			if s.mending {
				s.open[quote] = true
				return s.cut(body)
			}
			s.row += uint32(bytes.Count(src[q:], newline))
			return len(src)
		}
		i += k
		slashes := 0
		for j := i - 1; j >= body && src[j] == '\\'; j-- {
			slashes++
		}
		if slashes&1 == 0 && i+2 < len(src) && src[i+1] == c && src[i+2] == c {
			if s.mending && s.holdsDef(src[body:i]) {
				return s.cut(body)
			}
			s.row += uint32(bytes.Count(src[q:i], newline))
			return i + 3
		}
		i++
	}
}

// cut ends a text in three quotes, of which one is taken to be missing, with
// its first line.
func (s *scanner) cut(body int) int {
	if k := bytes.IndexByte(s.src[body:], '\n'); k >= 0 {
		return body + k
	}
	return len(s.src)
}

// holdsDef reports whether a definition of the module's own stands in a text.
func (s *scanner) holdsDef(text []byte) bool {
	for _, w := range defWords {
		if bytes.Contains(text, w) {
			return true
		}
	}
	return false
}

var defWords = [...][]byte{[]byte("\ndef "), []byte("\nclass "), []byte("\nasync def "), []byte("\n@")}

// escape returns the offset of the last byte of the backslash pair at i.
func (s *scanner) escape(i int) int {
	src := s.src
	i++
	if i+1 < len(src) && src[i] == '\r' && src[i+1] == '\n' {
		i++
	}
	if i < len(src) && src[i] == '\n' {
		s.row++
	}
	return i
}

// fstr scans the literal part of an f-string from i and returns the offset
// behind its end, -1 when it does not fit.
func (s *scanner) fstr(i int, c byte, triple, raw bool, depth int) int {
	if depth > maxDepth || s.fwork > fBudget*len(s.src) {
		return -1
	}
	src := s.src
	n := len(src)
	for i < n {
		switch src[i] {
		case c:
			if !triple {
				return i + 1
			}
			if i+2 < n && src[i+1] == c && src[i+2] == c {
				return i + 3
			}
		case '\\':
			if !raw && i+2 < n && src[i+1] == 'N' && src[i+2] == '{' {
				// the longest name of a character has 88 letters
				k := bytes.IndexByte(src[i:min(n, i+120)], '}')
				if k < 0 || bytes.IndexByte(src[i:i+k], '\n') >= 0 {
					return s.fail(i)
				}
				i += k
				break
			}
			if i+1 < n && (src[i+1] == '{' || src[i+1] == '}') {
				break // a backslash does not escape a brace
			}
			i = s.escape(i)
		case '\n':
			if !triple {
				return s.fail(i)
			}
			s.row++
		case '{':
			if i+1 < n && src[i+1] == '{' {
				i++
				break
			}
			i0 := i
			i = s.field(i+1, c, triple, raw, depth+1)
			if i < 0 {
				s.fwork += max(0, s.fat-i0)
				return -1
			}
			continue
		}
		i++
	}
	return s.fail(i)
}

// field scans a replacement field from behind its '{' to behind its '}'.
func (s *scanner) field(i int, c byte, triple, raw bool, depth int) int {
	if depth > maxDepth {
		return s.fail(i)
	}
	src := s.src
	n := len(src)
	brackets := 0
	for i < n {
		switch src[i] {
		case '\'', '"':
			doubt := s.doubt
			e := s.nested(i, depth)
			if e < 0 || s.doubt != doubt {
				return s.fail(i)
			}
			i = e
			continue
		case '#':
			k := bytes.IndexByte(src[i:], '\n')
			if k < 0 {
				return s.fail(i)
			}
			i += k
			continue
		case '(', '[', '{':
			brackets++
		case ')', ']':
			brackets--
			if brackets < 0 {
				return s.fail(i)
			}
		case '}':
			if brackets == 0 {
				return i + 1
			}
			brackets--
		case '\n':
			s.row++
		case ':':
			if brackets == 0 {
				return s.spec(i+1, c, triple, raw, depth)
			}
		}
		i++
	}
	return s.fail(i)
}

// spec scans a format specification: literal text with nested fields.
func (s *scanner) spec(i int, c byte, triple, raw bool, depth int) int {
	src := s.src
	n := len(src)
	for i < n && src[i] != '}' {
		switch src[i] {
		case '{':
			if i = s.field(i+1, c, triple, raw, depth+1); i < 0 {
				return -1
			}
			continue
		case '\n':
			if !triple {
				return s.fail(i)
			}
			s.row++
		case c:
			if !triple || i+2 < n && src[i+1] == c && src[i+2] == c {
				return s.fail(i)
			}
		}
		i++
	}
	if i >= n {
		return s.fail(i)
	}
	return i + 1
}

func (s *scanner) fail(i int) int {
	s.fat = max(s.fat, i)
	return -1
}

func (s *scanner) nested(q, depth int) int {
	if !s.fprefix(q) {
		return s.str(q, false)
	}
	c := s.src[q]
	if q+2 < len(s.src) && s.src[q+1] == c && s.src[q+2] == c {
		return s.fstr(q+3, c, true, s.raw(q), depth+1)
	}
	return s.fstr(q+1, c, false, s.raw(q), depth+1)
}

// hasExample reports whether a docstring's text holds a doctest example that
// is more than a comment (doctest.DocTestParser: _EXAMPLE_RE and
// _IS_BLANK_OR_COMMENT).
func hasExample(doc []byte) bool {
	if !bytes.Contains(doc, prompt) {
		return false
	}
	open := false // the line before was a prompt without code
	for len(doc) > 0 {
		line, rest, _ := bytes.Cut(doc, newline)
		doc = rest
		line = bytes.TrimLeft(line, " \t")
		if !bytes.HasPrefix(line, prompt) && !(open && bytes.HasPrefix(line, more)) {
			open = false
			continue
		}
		open = true
		if code := bytes.Trim(line[len(prompt):], " \t\r"); len(code) > 0 && code[0] != '#' {
			return true
		}
	}
	return false
}

var prompt, more = []byte(">>>"), []byte("...")

// HasExample reports whether a text holds a doctest example with code.
func HasExample(text []byte) bool { return hasExample(text) }
