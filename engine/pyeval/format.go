package pyeval

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// Format is format(v, spec) for strings and integers, and for floats with a
// plain precision; false for the rest of the mini-language.
func Format(v Value, spec string) (string, bool) {
	if spec == "" {
		s, ok := ToStr(v)
		if e, is := v.(EnumMember); is && e.Mixin { // the value before Python 3.12, str() since
			value, known := ToStr(e.Value)
			ok = ok && known && value == s
		}
		return s, ok
	}
	f, ok := parseSpec(spec)
	if !ok {
		return "", false
	}
	switch v := v.(type) {
	case Str:
		s := string(v)
		if f.kind != 0 && f.kind != 's' || f.sign != 0 || f.zero || f.comma {
			return "", false
		}
		if f.prec >= 0 && utf8.RuneCountInString(s) > f.prec {
			s = string([]rune(s)[:f.prec])
		}
		return f.pad(s, '<'), true
	case Int, BigInt, Bool:
		if _, is := v.(Bool); is && f.kind == 0 {
			return "", false
		}
		return f.integer(v)
	case Float:
		return f.float(float64(v))
	}
	return "", false
}

type spec struct {
	fill        string
	align, sign byte
	alt, zero   bool
	width, prec int
	comma       bool
	kind        byte
}

func parseSpec(s string) (f spec, ok bool) {
	f.prec, f.fill = -1, " "
	_, n := pyexpr.DecodeRune(s)
	if n < len(s) && strings.IndexByte("<>^=", s[n]) >= 0 {
		f.fill, f.align = s[:n], s[n]
		s = s[n+1:]
	} else if strings.IndexByte("<>^=", s[0]) >= 0 {
		f.align = s[0]
		s = s[1:]
	}
	if s != "" && strings.IndexByte("+- ", s[0]) >= 0 {
		f.sign = s[0]
		s = s[1:]
	}
	if s != "" && s[0] == '#' {
		f.alt = true
		s = s[1:]
	}
	if s != "" && s[0] == '0' {
		f.zero = true
		s = s[1:]
	}
	digits := func() int {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		v, _ := strconv.Atoi(s[:i])
		s = s[i:]
		return min(v, maxBytes)
	}
	f.width = digits()
	if s != "" && s[0] == ',' {
		f.comma = true
		s = s[1:]
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		f.prec = digits()
	}
	if len(s) == 1 {
		f.kind = s[0]
		s = ""
	}
	return f, s == ""
}

func (f spec) pad(s string, align byte) string {
	n := f.width - utf8.RuneCountInString(s)
	if n <= 0 {
		return s
	}
	if f.align != 0 {
		align = f.align
	}
	switch align {
	case '<':
		return s + strings.Repeat(f.fill, n)
	case '^':
		return strings.Repeat(f.fill, n/2) + s + strings.Repeat(f.fill, n-n/2)
	}
	return strings.Repeat(f.fill, n) + s
}

func (f spec) integer(v Value) (string, bool) {
	b, _ := toBig(v)
	if f.prec >= 0 {
		return "", false
	}
	base, prefix, upper := 10, "", false
	switch f.kind {
	case 0, 'd':
	case 'x':
		base, prefix = 16, "0x"
	case 'X':
		base, prefix, upper = 16, "0X", true
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	case 'f':
		x, ok := toFloat(v)
		if !ok {
			return "", false
		}
		return f.float(x)
	default:
		return "", false
	}
	digits := b.Text(base)
	sign := ""
	if b.Sign() < 0 {
		sign, digits = "-", digits[1:]
	} else if f.sign == '+' || f.sign == ' ' {
		sign = string(f.sign)
	}
	if upper {
		digits = strings.ToUpper(digits)
	}
	if f.comma {
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
	}
	if f.alt {
		sign += prefix
	}
	if f.zero && f.align == 0 || f.align == '=' {
		fill := "0"
		if !f.zero {
			fill = f.fill
		}
		if n := f.width - len(sign) - len(digits); n > 0 {
			digits = strings.Repeat(fill, n) + digits
		}
		return sign + digits, !f.comma
	}
	return f.pad(sign+digits, '>'), true
}

func (f spec) float(x float64) (string, bool) {
	if f.kind != 'f' || f.comma || f.zero && f.align != 0 || f.sign == '+' || f.sign == ' ' {
		return "", false
	}
	prec := f.prec
	if prec < 0 {
		prec = 6
	}
	s := strconv.FormatFloat(x, 'f', prec, 64)
	if f.zero {
		sign, digits := "", s
		if s[0] == '-' {
			sign, digits = "-", s[1:]
		}
		return sign + strings.Repeat("0", max(0, f.width-len(s))) + digits, true
	}
	return f.pad(s, '>'), true
}

// percent is the % operator on strings.
func percent(format string, args Value) (string, bool) {
	var items []Value
	mapping, _ := args.(*Dict)
	if t, ok := args.(Tuple); ok {
		items = t.Items
	} else {
		items = []Value{args}
	}
	var b strings.Builder
	used := 0
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		var v Value
		if i < len(format) && format[i] == '(' {
			e := strings.IndexByte(format[i:], ')')
			if e < 0 || mapping == nil {
				return "", false
			}
			x, ok := mapping.Get(Str(format[i+1 : i+e]))
			if !ok {
				return "", false
			}
			v = x
			i += e + 1
		}
		from := i
		for i < len(format) && strings.IndexByte("0123456789.-+ #", format[i]) >= 0 {
			i++
		}
		if i >= len(format) {
			return "", false
		}
		if v == nil {
			if used >= len(items) {
				return "", false
			}
			v = items[used]
			used++
		}
		s, ok := percentOne(format[from:i], format[i], v)
		if !ok || b.Len()+len(s) > maxBytes {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), mapping != nil || used == len(items)
}

func percentOne(flags string, kind byte, v Value) (string, bool) {
	spec := flags
	left := strings.HasPrefix(spec, "-")
	if left {
		spec = "<" + spec[1:]
	}
	switch kind {
	case 's', 'r':
		s, ok := ToStr(v)
		if kind == 'r' {
			s, ok = Repr(v)
		}
		if !ok {
			return "", false
		}
		if !left && spec != "" && spec[0] != '.' {
			spec = ">" + spec
		}
		return Format(Str(s), spec)
	case 'd', 'i', 'x', 'X', 'o':
		if _, ok := toBig(v); !ok {
			return "", false
		}
		if kind == 'i' {
			kind = 'd'
		}
		if b, is := v.(Bool); is {
			n, _ := toBig(b)
			v = fromBig(n)
		}
		return Format(v, spec+string(kind))
	case 'f':
		x, ok := toFloat(v)
		if !ok {
			return "", false
		}
		return Format(Float(x), spec+"f")
	}
	return "", false
}

// formatMethod is str.format.
func formatMethod(s string, args []Value, kwargs map[string]Value) (string, bool) {
	var b strings.Builder
	auto := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c == '{' || c == '}') && i+1 < len(s) && s[i+1] == c {
			b.WriteByte(c)
			i++
			continue
		}
		if c != '{' {
			b.WriteByte(c)
			continue
		}
		e := strings.IndexByte(s[i:], '}')
		if e < 0 {
			return "", false
		}
		field := s[i+1 : i+e]
		i += e
		if strings.ContainsAny(field, "{[.") && !strings.Contains(field, ":") || strings.Contains(field, "{") {
			return "", false
		}
		name, spec, _ := strings.Cut(field, ":")
		name, conv, _ := strings.Cut(name, "!")
		if strings.ContainsAny(name, ".[") {
			return "", false
		}
		var v Value
		if n, err := strconv.Atoi(name); err == nil || name == "" {
			if name == "" {
				n = auto
				auto++
			}
			if n >= len(args) {
				return "", false
			}
			v = args[n]
		} else if x, ok := kwargs[name]; ok {
			v = x
		} else {
			return "", false
		}
		t, ok := convert(v, conv, spec)
		if !ok || b.Len()+len(t) > maxBytes {
			return "", false
		}
		b.WriteString(t)
	}
	return b.String(), true
}
