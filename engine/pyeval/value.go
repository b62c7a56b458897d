// Package pyeval evaluates Python expressions without running Python: enough
// to know the values that pytest turns into test ids. It is pure and bounded;
// what it cannot know for sure is Unknown, never a guess.
package pyeval

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// Value is a Python value: one of the types below, or an Object.
type Value any

type (
	// Unknown is a value that cannot be known without running code.
	Unknown struct{ Why string }
	// Missing is the absence of a name or attribute: NameError, AttributeError.
	Missing struct{}

	None     struct{}
	Ellipsis struct{}
	Bool     bool
	Int      int64
	BigInt   struct{ V *big.Int } // outside of int64
	Float    float64
	Complex  complex128
	Str      string // lone surrogates as three bytes, see pyexpr.WriteRune
	Bytes    string

	Tuple struct {
		Items []Value
		Type  string // of a named tuple, else ""
	}
	List struct{ Items []Value }
	Set  struct{ Items []Value } // without order: iterating more than one is Unknown
	Dict struct{ Keys, Values []Value }
	// Iter is an iterator, or with Again something that may be iterated over
	// many times: a range, a view of a dict.
	Iter struct {
		Items []Value
		Again bool
	}
	// Pattern is a compiled regular expression.
	Pattern struct {
		Source Value
		Flags  bool // it was compiled with flags
	}
	// EnumMember is a member of an Enum class.
	EnumMember struct {
		Class Object
		Name  string
		Value Value
		Str   Value // str() of it
		Mixin bool  // the class is an int, str or other data type too
	}
	// Instance is an object without a __name__, of which nothing else is known.
	Instance struct{ Class Object }
	// Func is a function, class or other object that is known by its __name__
	// alone.
	Func struct{ Name string }
	// Param is what pytest.param returns.
	Param struct {
		Values []Value
		ID     Value // Str, Hidden, None or Unknown
		Marks  []Value
	}
	// Hidden is pytest.HIDDEN_PARAM.
	Hidden struct{}
	// NotSet is the value of an empty parameter set.
	NotSet struct{}
)

// VersionInfo is the Type of sys.version_info.
const VersionInfo = "version_info"

// Object is a module, class or function that another package knows more of.
type Object interface {
	// PyName is its __name__, "" when that is not known.
	PyName() string
	// Attr is an attribute; Missing when it surely has none of that name.
	Attr(name string) Value
	// Call is what calling it returns.
	Call(args []Value, kwargs map[string]Value) Value
}

// IsUnknown reports whether v is not known.
func IsUnknown(v Value) bool {
	switch v.(type) {
	case Unknown, Missing, nil:
		return true
	}
	return false
}

func unknown(why string) Value { return Unknown{why} }

// Items returns the elements of a sequence, set or iterator, and whether v is
// one. The elements of a Dict are its keys.
func Items(v Value) ([]Value, bool) {
	switch v := v.(type) {
	case Tuple:
		return v.Items, true
	case *List:
		return v.Items, true
	case *Set:
		return v.Items, true
	case *Dict:
		return v.Keys, true
	case *Iter:
		return v.Items, true
	case Str:
		var out []Value
		for s := string(v); s != ""; {
			_, n := pyexpr.DecodeRune(s)
			out = append(out, Str(s[:n]))
			s = s[n:]
		}
		return out, true
	case Bytes:
		var out []Value
		for i := 0; i < len(v); i++ {
			out = append(out, Int(v[i]))
		}
		return out, true
	}
	return nil, false
}

// Iterate returns what a for loop over v sees, in order; false when that is
// not known.
func Iterate(v Value) ([]Value, bool) {
	switch v := v.(type) {
	case *Set:
		return v.Items, len(v.Items) < 2 // the order depends on hashes
	case Object:
		if it, ok := v.(interface{ Iterate() ([]Value, bool) }); ok {
			return it.Iterate()
		}
		return nil, false
	}
	return Items(v)
}

// key returns a text that is equal for equal hashable values, and whether v is
// hashable and known.
func key(v Value) (string, bool) {
	switch v := v.(type) {
	case None:
		return "N", true
	case Ellipsis:
		return "E", true
	case Bool:
		if v {
			return "i1", true
		}
		return "i0", true
	case Int:
		return "i" + strconv.FormatInt(int64(v), 10), true
	case BigInt:
		return "i" + v.V.String(), true
	case Float:
		if f := float64(v); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return "i" + strconv.FormatInt(int64(f), 10), true
		}
		return "f" + strconv.FormatFloat(float64(v), 'g', -1, 64), true
	case Str:
		return "s" + string(v), true
	case Bytes:
		return "b" + string(v), true
	case Tuple:
		var b strings.Builder
		b.WriteString("t")
		for _, x := range v.Items {
			k, ok := key(x)
			if !ok {
				return "", false
			}
			b.WriteString(strconv.Itoa(len(k)) + ":" + k)
		}
		return b.String(), true
	case EnumMember:
		return "e" + v.Class.PyName() + "." + v.Name, true
	case Func:
		return "n" + v.Name, true
	}
	return "", false
}

// Key is an equality key of a parameter's value for the order of tests; false
// for values that pytest cannot hash either, or that are not known.
func Key(v Value) (string, bool) {
	k, ok := key(v)
	if !ok {
		return "", false
	}
	switch v.(type) { // pytest compares the types too
	case Bool:
		return "?" + k, true
	case Float:
		return "." + k, true
	}
	return k, true
}

// Truth is bool(v); ok is false when it is not known.
func Truth(v Value) (truth, ok bool) {
	switch v := v.(type) {
	case None:
		return false, true
	case Bool:
		return bool(v), true
	case Int:
		return v != 0, true
	case BigInt:
		return true, true
	case Float:
		return v != 0, true
	case Complex:
		return v != 0, true
	case Func, Ellipsis, Pattern, match:
		return true, true
	case Object:
		return true, true // classes, functions and modules; pytest never asks their metaclass
	}
	if items, ok := Items(v); ok {
		return len(items) > 0, true
	}
	return false, false
}

// Equal is v == w; ok is false when it is not known.
func Equal(v, w Value) (equal, ok bool) {
	m, isM := v.(EnumMember)
	n, isN := w.(EnumMember)
	if isM != isN && (m.Mixin || n.Mixin) {
		return false, false // equal to its value, where the class does not say otherwise
	}
	a, okA := key(v)
	b, okB := key(w)
	if okA && okB {
		return a == b, true
	}
	x, okX := v.(*List)
	y, okY := w.(*List)
	if okX && okY {
		if len(x.Items) != len(y.Items) {
			return false, true
		}
		for i := range x.Items {
			if eq, ok := Equal(x.Items[i], y.Items[i]); !ok || !eq {
				return false, ok
			}
		}
		return true, true
	}
	return false, false
}

// Str is str(v); false when it is not known.
func ToStr(v Value) (string, bool) {
	switch v := v.(type) {
	case Str:
		return string(v), true
	case EnumMember:
		if s, ok := v.Str.(Str); ok {
			return string(s), true
		}
		return "", false
	}
	return Repr(v)
}

// Repr is repr(v); false when it is not known.
func Repr(v Value) (string, bool) {
	switch v := v.(type) {
	case None:
		return "None", true
	case Ellipsis:
		return "Ellipsis", true
	case Bool:
		if v {
			return "True", true
		}
		return "False", true
	case Int:
		return strconv.FormatInt(int64(v), 10), true
	case BigInt:
		return v.V.String(), true
	case Float:
		return FormatFloat(float64(v)), true
	case Complex:
		return formatComplex(complex128(v)), true
	case Str:
		return reprStr(string(v)), true
	case Bytes:
		return reprBytes(string(v)), true
	case Tuple:
		if v.Type != "" {
			return "", false
		}
		if len(v.Items) == 1 {
			s, ok := Repr(v.Items[0])
			return "(" + s + ",)", ok
		}
		return reprAll("(", v.Items, ")")
	case *List:
		return reprAll("[", v.Items, "]")
	case *Dict:
		var b strings.Builder
		for i := range v.Keys {
			k, ok1 := Repr(v.Keys[i])
			x, ok2 := Repr(v.Values[i])
			if !ok1 || !ok2 {
				return "", false
			}
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k + ": " + x)
		}
		return "{" + b.String() + "}", true
	case *Set:
		if len(v.Items) == 0 {
			return "set()", true
		}
		if len(v.Items) == 1 {
			return reprAll("{", v.Items, "}")
		}
	}
	return "", false
}

func reprAll(open string, items []Value, close string) (string, bool) {
	var b strings.Builder
	b.WriteString(open)
	for i, x := range items {
		s, ok := Repr(x)
		if !ok {
			return "", false
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s)
	}
	return b.String() + close, true
}

// FormatFloat is repr of a float: the shortest digits that read back, with an
// exponent below 1e-4 and from 1e16 (CPython float_repr_style "short").
func FormatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	e := strings.IndexByte(s, 'e')
	exp, _ := strconv.Atoi(s[e+1:])
	if exp < -4 || exp >= 16 {
		sign := "+"
		if exp < 0 {
			sign, exp = "-", -exp
		}
		pad := ""
		if exp < 10 {
			pad = "0"
		}
		return s[:e] + "e" + sign + pad + strconv.Itoa(exp)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func formatComplex(c complex128) string {
	part := func(f float64) string { return strings.TrimSuffix(FormatFloat(f), ".0") }
	re, im := real(c), imag(c)
	if re == 0 && !math.Signbit(re) {
		return part(im) + "j"
	}
	sign := "+"
	if math.Signbit(im) {
		sign = ""
	}
	return "(" + part(re) + sign + part(im) + "j)"
}

func reprBytes(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte('b')
	b.WriteByte(q)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c >= 0x7f:
			b.WriteString(`\x` + hex(uint64(c), 2))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
	return b.String()
}

func hex(v uint64, width int) string {
	s := strconv.FormatUint(v, 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

func reprStr(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for s != "" {
		r, n := pyexpr.DecodeRune(s)
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			b.WriteString(`\x` + hex(uint64(r), 2))
		case r < 0x7f || strconv.IsPrint(r):
			b.WriteString(s[:n])
		case r <= 0xff:
			b.WriteString(`\x` + hex(uint64(r), 2))
		case r <= 0xffff:
			b.WriteString(`\u` + hex(uint64(r), 4))
		default:
			b.WriteString(`\U` + hex(uint64(r), 8))
		}
		s = s[n:]
	}
	b.WriteByte(q)
	return b.String()
}

// Escape is str.encode("unicode_escape").decode("ascii").
func Escape(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f || s[i] == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := pyexpr.DecodeRune(s)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r >= 0x20 && r < 0x7f:
			b.WriteByte(byte(r))
		case r <= 0xff:
			b.WriteString(`\x` + hex(uint64(r), 2))
		case r <= 0xffff:
			b.WriteString(`\u` + hex(uint64(r), 4))
		default:
			b.WriteString(`\U` + hex(uint64(r), 8))
		}
		s = s[n:]
	}
	return b.String()
}

// EscapeBytes is bytes.decode("ascii", "backslashreplace"), and what pytest
// does to control characters behind it.
func EscapeBytes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c >= 0x7f:
			b.WriteString(`\x` + hex(uint64(c), 2))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Add adds v; false when it is not known or not hashable.
func (s *Set) Add(v Value) bool {
	k, ok := key(v)
	if !ok {
		return false
	}
	for _, x := range s.Items {
		if y, _ := key(x); y == k {
			return true
		}
	}
	s.Items = append(s.Items, v)
	return true
}
