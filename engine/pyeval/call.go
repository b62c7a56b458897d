package pyeval

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

func (e *evaluator) call(n *pyexpr.Node) Value {
	fn := n.Kids[0]
	var args []Value
	var kwargs map[string]Value
	for _, a := range n.Kids[1:] {
		switch a.Kind {
		case pyexpr.Keyword:
			if kwargs == nil {
				kwargs = map[string]Value{}
			}
			kwargs[a.Text] = e.eval(a.Kids[0])
		case pyexpr.Star:
			items, ok := Iterate(e.eval(a.Kids[0]))
			if !ok {
				args = append(args, tooMany("starred argument"))
				continue
			}
			args = append(args, items...)
		case pyexpr.DoubleStar:
			d, ok := e.eval(a.Kids[0]).(*Dict)
			if !ok {
				args = append(args, tooMany("starred argument"))
				continue
			}
			if kwargs == nil {
				kwargs = map[string]Value{}
			}
			for i, k := range d.Keys {
				if s, ok := k.(Str); ok {
					kwargs[string(s)] = d.Values[i]
				}
			}
		default:
			args = append(args, e.eval(a))
		}
	}
	for i, a := range args {
		if _, bad := a.(tooMany); bad {
			if i == 0 && len(args) == 1 && e.opaqueClass(fn) != nil {
				return Instance{e.opaqueClass(fn)}
			}
			args[i] = Unknown{"starred argument"}
			if _, ok := e.eval(fn).(interface{ AnyArgs() bool }); !ok {
				return unknown("starred argument")
			}
		}
	}
	if fn.Kind == pyexpr.Attribute {
		v := e.eval(fn.Kids[0])
		if _, isObject := v.(Object); !isObject {
			return method(v, fn.Text, args, kwargs)
		}
		return Call(Attr(v, fn.Text), args, kwargs)
	}
	if fn.Kind == pyexpr.Name && fn.Text == "dict" && len(args) == 0 && len(kwargs) > 0 {
		if b, ok := e.eval(fn).(*builtin); ok && b.name == "dict" {
			d := &Dict{} // in the order of the text
			for _, a := range n.Kids[1:] {
				if a.Kind != pyexpr.Keyword {
					return unknown("dict")
				}
				d.Set(Str(a.Text), kwargs[a.Text])
			}
			return d
		}
	}
	return Call(e.eval(fn), args, kwargs)
}

// opaqueClass returns the class that fn names when its instances are opaque
// whatever the arguments are.
func (e *evaluator) opaqueClass(fn *pyexpr.Node) Object {
	if o, ok := e.eval(fn).(interface{ AnyArgs() bool }); ok && o.AnyArgs() {
		return o.(Object)
	}
	return nil
}

// Call is what calling v returns.
func Call(v Value, args []Value, kwargs map[string]Value) Value {
	switch f := v.(type) {
	case bound:
		return method(f.self, f.name, args, kwargs)
	case Object:
		return f.Call(args, kwargs)
	}
	return unknown("call")
}

// bound is a method of a known value.
type bound struct {
	self Value
	name string
}

// Attr is v.name.
func Attr(v Value, name string) Value {
	switch x := v.(type) {
	case Object:
		return x.Attr(name)
	case Unknown, Missing, nil:
		return unknown("attribute " + name)
	case EnumMember:
		switch name {
		case "name", "_name_":
			return Str(x.Name)
		case "value", "_value_":
			return x.Value
		}
		return unknown("attribute " + name)
	case Path:
		switch name {
		case "parent":
			return Path{path.Dir(x.Text)}
		case "name":
			return Str(path.Base(x.Text))
		case "stem":
			b := path.Base(x.Text)
			return Str(strings.TrimSuffix(b, path.Ext(b)))
		case "suffix":
			return Str(path.Ext(x.Text))
		}
		return bound{v, name}
	case Instance, Decided:
		return unknown("attribute " + name)
	case Tuple:
		if x.Type == VersionInfo {
			for i, field := range []string{"major", "minor", "micro", "releaselevel", "serial"} {
				if field == name && i < len(x.Items) {
					return x.Items[i]
				}
			}
		}
	case Pattern:
		if name == "pattern" {
			return x.Source
		}
		return bound{v, name}
	}
	if name == "__name__" {
		return Missing{}
	}
	return bound{v, name}
}

// method calls a method of a known value.
func method(v Value, name string, args []Value, kwargs map[string]Value) Value {
	switch x := v.(type) {
	case Str:
		return strMethod(string(x), name, args, kwargs)
	case Bytes:
		if name == "decode" && utf8.ValidString(string(x)) {
			return Str(x)
		}
	case Instance:
		if x.date() && (name == "replace" || name == "astimezone" || name == "date" || name == "time") {
			return x
		}
	case Pattern:
		return x.method(name, args)
	case match:
		return x.method(name, args)
	case *Dict:
		return dictMethod(x, name, args)
	case *List, Tuple:
		items, _ := Items(x)
		switch name {
		case "copy":
			return &List{append([]Value{}, items...)}
		case "index", "count":
			n := 0
			for i, y := range items {
				eq, ok := Equal(y, one(args, kwargs))
				if !ok {
					return unknown(name)
				}
				if eq && name == "index" {
					return Int(i)
				}
				if eq {
					n++
				}
			}
			if name == "count" {
				return Int(n)
			}
		}
	case *Set:
		op := map[string]byte{"union": '|', "intersection": '&', "difference": '-', "symmetric_difference": '^'}[name]
		if op != 0 && len(args) == 1 {
			if items, ok := Items(args[0]); ok {
				if t, ok := setOf(items).(*Set); ok {
					return x.op(op, t)
				}
			}
		}
	case Int:
		if name == "bit_length" {
			b, _ := toBig(x)
			return Int(b.BitLen())
		}
	case Path:
		switch name {
		case "resolve", "absolute", "expanduser":
			return x
		case "joinpath":
			var p Value = x
			for _, a := range args {
				q, ok := p.(Path)
				if !ok {
					return p
				}
				p = q.join(a)
			}
			return p
		case "as_posix", "__str__":
			return Str(x.Text)
		case "with_suffix", "with_name", "relative_to":
			return Instance{Func{"Path"}.object()}
		}
	}
	return unknown("method " + name)
}

func dictMethod(d *Dict, name string, args []Value) Value {
	switch name {
	case "keys":
		return &Iter{Items: d.Keys, Again: true}
	case "values":
		return &Iter{Items: d.Values, Again: true}
	case "items":
		out := make([]Value, len(d.Keys))
		for i := range d.Keys {
			out[i] = Tuple{Items: []Value{d.Keys[i], d.Values[i]}}
		}
		return &Iter{Items: out, Again: true}
	case "copy":
		return &Dict{append([]Value{}, d.Keys...), append([]Value{}, d.Values...)}
	case "get":
		if len(args) > 0 {
			if v, ok := d.Get(args[0]); ok {
				return v
			}
			if _, known := key(args[0]); known && len(args) == 2 {
				return args[1]
			} else if known {
				return None{}
			}
		}
	}
	return unknown("method " + name)
}

func strMethod(s, name string, args []Value, kwargs map[string]Value) Value {
	str := func(i int) (string, bool) {
		if i >= len(args) {
			return "", false
		}
		t, ok := args[i].(Str)
		return string(t), ok
	}
	ascii := true
	for i := 0; i < len(s); i++ {
		ascii = ascii && s[i] < 0x80
	}
	a, hasA := str(0)
	switch name {
	case "upper", "lower", "title", "capitalize", "swapcase", "casefold":
		if !ascii || len(args) > 0 {
			break
		}
		switch name {
		case "upper":
			return Str(strings.ToUpper(s))
		case "lower", "casefold":
			return Str(strings.ToLower(s))
		case "capitalize":
			if s == "" {
				return Str("")
			}
			return Str(strings.ToUpper(s[:1]) + strings.ToLower(s[1:]))
		case "swapcase":
			return Str(strings.Map(func(r rune) rune {
				if unicode.IsUpper(r) {
					return unicode.ToLower(r)
				}
				return unicode.ToUpper(r)
			}, s))
		}
	case "strip", "lstrip", "rstrip":
		cut := " \t\n\r\v\f"
		if hasA {
			cut = a
		} else if len(args) > 0 || !ascii {
			break
		}
		switch name {
		case "strip":
			return Str(strings.Trim(s, cut))
		case "lstrip":
			return Str(strings.TrimLeft(s, cut))
		}
		return Str(strings.TrimRight(s, cut))
	case "split", "rsplit":
		limit := -1
		if n, ok := second(args, kwargs, "maxsplit").(Int); ok && n >= 0 {
			limit = int(n) + 1
		} else if len(kwargs) > 0 || len(args) > 1 {
			break
		}
		var parts []string
		switch {
		case hasA && a != "" && limit > 0 && name == "rsplit":
			parts = rsplit(s, a, limit)
		case hasA && a != "":
			parts = strings.SplitN(s, a, limit)
		case len(args) == 0 && ascii:
			parts = strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\r\v\f\x1c\x1d\x1e\x1f", r) })
		default:
			return unknown("split")
		}
		return strList(parts)
	case "splitlines":
		if len(args) > 0 || len(kwargs) > 0 || !ascii || strings.ContainsAny(s, "\r\v\f\x1c\x1d\x1e") {
			break
		}
		if s == "" {
			return &List{[]Value{}}
		}
		return strList(strings.Split(strings.TrimSuffix(s, "\n"), "\n"))
	case "join":
		items, ok := Iterate(one(args, kwargs))
		if !ok {
			break
		}
		var b strings.Builder
		for i, v := range items {
			t, ok := v.(Str)
			if !ok || b.Len() > maxBytes {
				return unknown("join")
			}
			if i > 0 {
				b.WriteString(s)
			}
			b.WriteString(string(t))
		}
		return Str(b.String())
	case "replace":
		b, ok := str(1)
		if hasA && ok && len(args) == 2 && a != "" {
			return Str(strings.ReplaceAll(s, a, b))
		}
	case "startswith", "endswith":
		if !hasA || len(args) > 1 {
			break
		}
		if name == "startswith" {
			return Bool(strings.HasPrefix(s, a))
		}
		return Bool(strings.HasSuffix(s, a))
	case "removeprefix":
		if hasA {
			return Str(strings.TrimPrefix(s, a))
		}
	case "removesuffix":
		if hasA {
			return Str(strings.TrimSuffix(s, a))
		}
	case "format":
		if t, ok := formatMethod(s, args, kwargs); ok {
			return Str(t)
		}
	case "encode":
		enc := "utf-8"
		if hasA {
			enc = strings.ToLower(strings.ReplaceAll(a, "_", "-"))
		}
		if len(args) > 1 || len(kwargs) > 0 || !utf8.ValidString(s) {
			break
		}
		if enc == "utf-8" || enc == "utf8" || ascii && (enc == "ascii" || enc == "latin-1" || enc == "latin1") {
			return Bytes(s)
		}
	case "zfill", "ljust", "rjust", "center":
		n, ok := args0Int(args)
		if !ok || len(args) > 1 || n > maxBytes {
			break
		}
		pad := max(0, n-utf8.RuneCountInString(s))
		switch name {
		case "zfill":
			if s != "" && (s[0] == '-' || s[0] == '+') {
				return Str(s[:1] + strings.Repeat("0", pad) + s[1:])
			}
			return Str(strings.Repeat("0", pad) + s)
		case "ljust":
			return Str(s + strings.Repeat(" ", pad))
		case "rjust":
			return Str(strings.Repeat(" ", pad) + s)
		}
	case "isdigit", "isalpha", "isupper", "islower", "isidentifier", "isspace", "isalnum":
		if !ascii || len(args) > 0 {
			break
		}
		return isFunc(s, name)
	case "count":
		if hasA && len(args) == 1 && a != "" {
			return Int(strings.Count(s, a))
		}
	case "partition":
		if hasA && a != "" {
			if h, t, ok := strings.Cut(s, a); ok {
				return Tuple{Items: []Value{Str(h), Str(a), Str(t)}}
			}
			return Tuple{Items: []Value{Str(s), Str(""), Str("")}}
		}
	}
	return unknown("method " + name)
}

func second(args []Value, kwargs map[string]Value, name string) Value {
	if len(args) == 2 {
		return args[1]
	}
	return kwargs[name]
}

// rsplit splits at the last limit-1 separators.
func rsplit(s, sep string, limit int) []string {
	var out []string
	for len(out) < limit-1 {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		out = append([]string{s[i+len(sep):]}, out...)
		s = s[:i]
	}
	return append([]string{s}, out...)
}

func isFunc(s, name string) Value {
	in := map[string]func(r rune) bool{
		"isdigit": unicode.IsDigit, "isalpha": unicode.IsLetter, "isspace": unicode.IsSpace,
		"isalnum": func(r rune) bool { return unicode.IsDigit(r) || unicode.IsLetter(r) },
	}[name]
	if in == nil {
		return unknown(name)
	}
	for _, r := range s {
		if !in(r) {
			return Bool(false)
		}
	}
	return Bool(s != "")
}

func args0Int(args []Value) (int, bool) {
	if len(args) == 0 {
		return 0, false
	}
	n, ok := args[0].(Int)
	return int(n), ok && n >= 0
}

func strList(parts []string) Value {
	out := make([]Value, len(parts))
	for i, p := range parts {
		out[i] = Str(p)
	}
	return &List{out}
}
