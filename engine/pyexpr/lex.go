package pyexpr

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

type tokenKind uint8

const (
	tEOF tokenKind = iota
	tName
	tNumber
	tString // a whole string literal with its prefix
	tOp
	tBad
)

type token struct {
	kind tokenKind
	text string
	at   int // offset in the source
}

func isIdent(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// Identifier returns the name that Python sees: NFKC (PEP 3131).
func Identifier(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			return norm.NFKC.String(name)
		}
	}
	return name
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// next reads the token behind the current one. All white space is alike: the
// text of an expression has line ends only inside brackets or behind "\".
func (p *parser) next() {
	s := p.src
	i := p.at
	for i < len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
			continue
		case c == '\\' && i+1 < len(s) && (s[i+1] == '\n' || s[i+1] == '\r'):
			i += 2
			continue
		case c == '#':
			k := strings.IndexByte(s[i:], '\n')
			if k < 0 {
				i = len(s)
			} else {
				i += k
			}
			continue
		}
		break
	}
	p.tok = p.lex(i)
	p.at = i + len(p.tok.text)
}

func (p *parser) lex(i int) token {
	s := p.src
	if i >= len(s) {
		return token{kind: tEOF, at: i}
	}
	c := s[i]
	switch {
	case isDigit(c), c == '.' && i+1 < len(s) && isDigit(s[i+1]):
		return token{tNumber, s[i : i+number(s[i:])], i}
	case isIdent(c):
		j := i
		for j < len(s) && isIdent(s[j]) {
			j++
		}
		if j < len(s) && (s[j] == '"' || s[j] == '\'') && j-i <= 2 && strings.Trim(s[i:j], "rRbBuUfFtT") == "" {
			return p.lexString(i, j)
		}
		return token{tName, s[i:j], i}
	case c == '"' || c == '\'':
		return p.lexString(i, i)
	}
	for _, op := range [...]string{"**", "//", "<<", ">>", "<=", ">=", "==", "!=", "->", ":=", "...", "<>"} {
		if strings.HasPrefix(s[i:], op) {
			return token{tOp, op, i}
		}
	}
	if strings.IndexByte("+-*/%@&|^~<>()[]{},:.=", c) >= 0 {
		return token{tOp, s[i : i+1], i}
	}
	return token{tBad, s[i : i+1], i}
}

// number returns the length of the number at the start of s.
func number(s string) int {
	if len(s) > 1 && s[0] == '0' && strings.IndexByte("xXoObB", s[1]) >= 0 {
		i := 2
		for i < len(s) && isIdent(s[i]) {
			i++
		}
		return i
	}
	i := 0
	digits := func() {
		for i < len(s) && (isDigit(s[i]) || s[i] == '_') {
			i++
		}
	}
	digits()
	if i < len(s) && s[i] == '.' {
		i++
		digits()
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			i = j
			digits()
		}
	}
	if i < len(s) && (s[i] == 'j' || s[i] == 'J') {
		i++
	}
	return i
}

func (p *parser) lexString(start, quote int) token {
	e := stringEnd(p.src, quote, strings.ContainsAny(p.src[start:quote], "fFtT"), 0)
	if e < 0 {
		return token{tBad, p.src[start:], start}
	}
	return token{tString, p.src[start:e], start}
}

// stringEnd returns the offset behind the string whose quote stands at q, -1
// when it does not end. In an f-string a field may hold the same quotes.
func stringEnd(s string, q int, f bool, depth int) int {
	c := s[q]
	if depth > maxDepth {
		return -1
	}
	triple := q+2 < len(s) && s[q+1] == c && s[q+2] == c
	i := q + 1
	if triple {
		i = q + 3
	}
	for i < len(s) {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == c && !triple:
			return i + 1
		case s[i] == c && i+2 < len(s) && s[i+1] == c && s[i+2] == c:
			return i + 3
		case f && s[i] == '{':
			if i+1 < len(s) && s[i+1] == '{' {
				i++
				break
			}
			if e := fieldEnd(s, i+1, depth+1); e >= 0 {
				i = e - 1
			}
		}
		i++
	}
	return -1
}

// fieldEnd returns the offset behind the '}' of the replacement field that
// begins at i.
func fieldEnd(s string, i, depth int) int {
	brackets := 0
	for i < len(s) {
		switch c := s[i]; c {
		case '"', '\'':
			b := i
			for b > 0 && isIdent(s[b-1]) {
				b--
			}
			e := stringEnd(s, i, strings.ContainsAny(s[b:i], "fFtT"), depth)
			if e < 0 {
				return -1
			}
			i = e
			continue
		case '(', '[', '{':
			brackets++
		case ')', ']':
			brackets--
		case '}':
			if brackets == 0 {
				return i + 1
			}
			brackets--
		}
		i++
	}
	return -1
}

// literal makes the node of a string literal.
func (p *parser) literal(tok string) *Node {
	q := strings.IndexAny(tok, `"'`)
	prefix := strings.ToLower(tok[:q])
	n := 1
	if len(tok)-q >= 6 && tok[q+1] == tok[q] && tok[q+2] == tok[q] {
		n = 3
	}
	body := tok[q+n : len(tok)-n]
	if strings.Contains(body, "\r") {
		body = strings.ReplaceAll(body, "\r\n", "\n")
	}
	raw := strings.Contains(prefix, "r")
	switch {
	case strings.Contains(prefix, "t"):
		return p.node(Opaque, "")
	case strings.Contains(prefix, "b"):
		v, ok := unescape(body, raw, true)
		if !ok {
			return p.node(Invalid, "")
		}
		return p.node(Bytes, v)
	case strings.Contains(prefix, "f"):
		return p.fstring(body, raw)
	}
	v, ok := unescape(body, raw, false)
	if !ok {
		return p.node(Opaque, "")
	}
	return p.node(Str, v)
}

// unescape evaluates backslashes. false: a name of a character, which needs
// the Unicode database, or a malformed escape.
func unescape(s string, raw, bytes bool) (string, bool) {
	if raw || strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 >= len(s) {
			b.WriteByte(c)
			continue
		}
		i++
		switch c = s[i]; c {
		case '\n':
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'v':
			b.WriteByte('\v')
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v := 0
			j := i
			for j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7' {
				v = v*8 + int(s[j]-'0')
				j++
			}
			i = j - 1
			if bytes {
				b.WriteByte(byte(v))
			} else {
				b.WriteRune(rune(v))
			}
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			if bytes && c != 'x' {
				b.WriteByte('\\')
				b.WriteByte(c)
				break
			}
			if i+n >= len(s) {
				return "", false
			}
			v, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			if err != nil || v > utf8.MaxRune {
				return "", false
			}
			i += n
			switch {
			case bytes:
				b.WriteByte(byte(v))
			default:
				WriteRune(&b, rune(v))
			}
		case 'N':
			if bytes {
				b.WriteString(`\N`)
				break
			}
			r, n, ok := namedRune(s[i+1:])
			if !ok {
				return "", false
			}
			i += n
			b.WriteRune(r)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// WriteRune writes r as UTF-8, and a surrogate as its three bytes: Python's
// strings may hold lone ones.
func WriteRune(b *strings.Builder, r rune) {
	if r >= 0xD800 && r <= 0xDFFF {
		b.Write([]byte{0xE0 | byte(r>>12), 0x80 | byte(r>>6)&0x3F, 0x80 | byte(r)&0x3F})
		return
	}
	b.WriteRune(r)
}

// DecodeRune is utf8.DecodeRuneInString for text with lone surrogates.
func DecodeRune(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 && len(s) >= 3 && s[0] == 0xED && s[1]&0xE0 == 0xA0 && s[2]&0xC0 == 0x80 {
		return rune(s[0]&0xF)<<12 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return r, n
}

// fstring splits the body of an f-string into text and fields.
func (p *parser) fstring(s string, raw bool) *Node {
	n := p.node(FString, "")
	var lit strings.Builder
	flush := func() bool {
		if lit.Len() > 0 {
			v, ok := unescape(lit.String(), raw, false)
			if !ok {
				return false
			}
			n.Kids = append(n.Kids, p.node(Str, v))
			lit.Reset()
		}
		return true
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && !raw && strings.HasPrefix(s[i+1:], "N{"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return p.node(Opaque, "")
			}
			lit.WriteString(s[i : i+end+1])
			i += end
		case c == '\\' && i+1 < len(s) && !raw && s[i+1] != '{' && s[i+1] != '}':
			lit.WriteString(s[i : i+2])
			i++
		case (c == '{' || c == '}') && i+1 < len(s) && s[i+1] == c:
			lit.WriteByte(c)
			i++
		case c == '{':
			e := fieldEnd(s, i+1, 1)
			if e < 0 || !flush() {
				return p.node(Opaque, "")
			}
			if !p.field(n, s[i+1:e-1], raw) {
				return p.node(Opaque, "")
			}
			i = e - 1
		default:
			lit.WriteByte(c)
		}
	}
	if !flush() {
		return p.node(Opaque, "")
	}
	return n
}

// field parses "expr [=] [!conversion] [:spec]".
func (p *parser) field(into *Node, s string, raw bool) bool {
	end, conv, spec, hasSpec := splitField(s)
	expr := s[:end]
	f := p.node(Field, conv)
	if t := strings.TrimRight(expr, " "); strings.HasSuffix(t, "=") && !strings.HasSuffix(t, "==") && !strings.HasSuffix(t, "!=") && !strings.HasSuffix(t, "<=") && !strings.HasSuffix(t, ">=") {
		into.Kids = append(into.Kids, p.node(Str, expr))
		expr = t[:len(t)-1]
		if conv == "" && !hasSpec {
			f.Text = "r"
		}
	}
	e, err := p.sub(expr)
	if err != nil {
		return false
	}
	f.Kids = []*Node{e}
	if hasSpec {
		f.Kids = append(f.Kids, p.fstring(spec, raw))
	}
	into.Kids = append(into.Kids, f)
	return true
}

// splitField finds the conversion and the format specification of a field.
func splitField(s string) (end int, conv, spec string, hasSpec bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			e := stringEnd(s, i, true, 1)
			if e < 0 {
				return len(s), "", "", false
			}
			i = e - 1
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth > 0:
		case c == '!' && i+1 < len(s) && s[i+1] != '=':
			rest := strings.TrimSpace(s[i+1:])
			if rest == "" {
				return i, "", "", false
			}
			conv = rest[:1]
			if k := strings.IndexByte(rest, ':'); k >= 0 {
				return i, conv, rest[k+1:], true
			}
			return i, conv, "", false
		case c == ':':
			return i, "", s[i+1:], true
		}
	}
	return len(s), "", "", false
}
