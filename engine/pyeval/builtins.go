package pyeval

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// Path is a pathlib path or what is built from __file__. Its text is good for
// joining and comparing, not for an id: a Path has no __name__.
type Path struct{ Text string }

// NewPath is pathlib.PurePosixPath(text): "." parts and doubled slashes go,
// ".." stays.
func NewPath(text string) Path {
	var parts []string
	for _, s := range strings.Split(text, "/") {
		if s != "" && s != "." {
			parts = append(parts, s)
		}
	}
	out := strings.Join(parts, "/")
	if strings.HasPrefix(text, "/") {
		out = "/" + out
	}
	if out == "" {
		out = "."
	}
	return Path{out}
}

func (p Path) join(w Value) Value {
	more := ""
	switch w := w.(type) {
	case Str:
		more = string(w)
	case Path:
		more = w.Text
	default:
		return Instance{Func{"Path"}.object()}
	}
	if strings.HasPrefix(more, "/") {
		return NewPath(more)
	}
	return NewPath(p.Text + "/" + more)
}

// builtin is a function or class of the builtins module, or one of the pure
// functions of the standard library that Library lists.
type builtin struct {
	name string
	call func(args []Value, kwargs map[string]Value) Value
}

func (b *builtin) PyName() string { return b.name }

func (b *builtin) Attr(name string) Value { return attrOfBuiltin(b.name, name) }

func (b *builtin) Call(args []Value, kwargs map[string]Value) Value {
	if b.call == nil {
		return unknown("call of " + b.name)
	}
	return b.call(args, kwargs)
}

// TypeNew is what type.__new__ is, set by the package that knows classes.
var TypeNew Value

// object makes an Object of a name.
func (f Func) object() Object { return &builtin{name: f.Name} }

func attrOfBuiltin(class, name string) Value {
	if class == "dict" && name == "fromkeys" {
		return &builtin{name: "fromkeys", call: func(args []Value, _ map[string]Value) Value {
			if len(args) == 0 {
				return unknown("fromkeys")
			}
			items, ok := Iterate(args[0])
			d := &Dict{}
			var v Value = None{}
			if len(args) > 1 {
				v = args[1]
			}
			for _, k := range items {
				ok = ok && d.Set(k, v)
			}
			if !ok {
				return unknown("fromkeys")
			}
			return d
		}}
	}
	switch name {
	case "__name__", "__qualname__":
		return Str(class)
	case "__new__":
		if class == "type" && TypeNew != nil {
			return TypeNew
		}
	}
	if class == "str" {
		return &builtin{name: name, call: func(args []Value, kwargs map[string]Value) Value {
			if len(args) == 0 {
				return unknown("str." + name)
			}
			return method(args[0], name, args[1:], kwargs)
		}}
	}
	if _, isClass := classNames[class]; isClass && name != "" {
		return unknown("attribute " + name)
	}
	return unknown("attribute " + name)
}

// classNames are the classes of builtins; plainNames its functions.
var classNames = set(`object type int float complex bool str bytes bytearray memoryview list tuple dict set frozenset range slice
	enumerate zip map filter reversed property staticmethod classmethod super
	BaseException Exception ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError BytesWarning
	ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError
	FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit ImportError ImportWarning IndentationError
	IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError
	NotADirectoryError NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError ProcessLookupError
	RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration StopIteration SyntaxError
	SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError
	UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning ZeroDivisionError`)

var plainNames = set(`abs all any ascii bin breakpoint callable chr compile delattr dir divmod eval exec format getattr globals hasattr
	hash hex id input isinstance issubclass iter len locals max min next oct open ord pow print repr round setattr sorted sum vars
	__import__ __build_class__`)

// aliases are classes under a second name.
var aliases = map[string]string{"EnvironmentError": "OSError", "IOError": "OSError"}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// Builtin returns what a name of the builtins module is. version is the
// interpreter's (3, minor): names that came later are Missing before.
func Builtin(name string, minor int) Value {
	if a := aliases[name]; a != "" {
		name = a
	}
	if f, ok := builtinFuncs[name]; ok {
		return &builtin{name, f}
	}
	if name == "type" {
		return &builtin{name, func([]Value, map[string]Value) Value { return unknown("type()") }}
	}
	if classNames[name] {
		return &builtin{name, func([]Value, map[string]Value) Value { return Instance{&builtin{name: name}} }}
	}
	if plainNames[name] {
		return Func{name}.object()
	}
	switch name {
	case "__debug__":
		return Bool(true)
	case "NotImplemented", "copyright", "credits", "license", "exit", "quit", "help":
		return unknown(name)
	case "ExceptionGroup", "BaseExceptionGroup":
		if minor >= 11 {
			return Func{name}.object()
		}
	case "EncodingWarning", "aiter", "anext":
		if minor >= 10 {
			return Func{name}.object()
		}
	case "PythonFinalizationError":
		if minor >= 13 {
			return Func{name}.object()
		}
	}
	return Missing{}
}

// IsBuiltinClass reports whether name is a class of the builtins module whose
// instances have no __name__ and are none of the types that have ids of their
// own.
func IsBuiltinClass(name string) bool { return classNames[name] }

type function = func(args []Value, kwargs map[string]Value) Value

var builtinFuncs map[string]function

func init() {
	builtinFuncs = map[string]function{
		"len": func(args []Value, kw map[string]Value) Value {
			if items, ok := Items(one(args, kw)); ok {
				return Int(len(items))
			}
			return unknown("len")
		},
		"range": rangeOf,
		"list": func(args []Value, kw map[string]Value) Value {
			return collect(args, kw, func(v []Value) Value { return &List{v} })
		},
		"tuple": func(args []Value, kw map[string]Value) Value {
			return collect(args, kw, func(v []Value) Value { return Tuple{Items: v} })
		},
		"iter": func(args []Value, kw map[string]Value) Value {
			return collect(args, kw, func(v []Value) Value { return &Iter{Items: v} })
		},
		"set": setFunc, "frozenset": setFunc,
		"dict": dictFunc,
		"str": func(args []Value, kw map[string]Value) Value {
			if len(args) == 0 && len(kw) == 0 {
				return Str("")
			}
			if s, ok := ToStr(one(args, kw)); ok {
				return Str(s)
			}
			if p, ok := one(args, kw).(Path); ok {
				return Str(p.Text)
			}
			return unknown("str")
		},
		"repr": func(args []Value, kw map[string]Value) Value {
			if s, ok := Repr(one(args, kw)); ok {
				return Str(s)
			}
			return unknown("repr")
		},
		"int":   intFunc,
		"float": floatFunc,
		"bool": func(args []Value, kw map[string]Value) Value {
			if len(args) == 0 {
				return Bool(false)
			}
			if t, ok := Truth(one(args, kw)); ok {
				return Bool(t)
			}
			return unknown("bool")
		},
		"complex": func(args []Value, kw map[string]Value) Value {
			if len(args) == 2 && len(kw) == 0 {
				x, ok1 := toFloat(args[0])
				y, ok2 := toFloat(args[1])
				if ok1 && ok2 {
					return Complex(complex(x, y))
				}
			}
			return unknown("complex")
		},
		"bytes": func(args []Value, kw map[string]Value) Value {
			switch v := one(args, nil).(type) {
			case Bytes:
				return v
			case Str:
				return method(v, "encode", args[min(1, len(args)):], nil)
			case Int:
				if v >= 0 && v < maxBytes && len(args) == 1 {
					return Bytes(make([]byte, v))
				}
			}
			if len(args) == 1 {
				if items, ok := Iterate(args[0]); ok {
					b := make([]byte, 0, len(items))
					for _, x := range items {
						n, ok := x.(Int)
						if !ok || n < 0 || n > 255 {
							return unknown("bytes")
						}
						b = append(b, byte(n))
					}
					return Bytes(b)
				}
			}
			return unknown("bytes")
		},
		"chr": func(args []Value, kw map[string]Value) Value {
			n, ok := one(args, kw).(Int)
			if !ok || n < 0 || n > 0x10ffff {
				return unknown("chr")
			}
			var b strings.Builder
			pyexpr.WriteRune(&b, rune(n))
			return Str(b.String())
		},
		"ord": func(args []Value, kw map[string]Value) Value {
			if s, ok := one(args, kw).(Str); ok {
				if r, n := pyexpr.DecodeRune(string(s)); n == len(s) && n > 0 {
					return Int(r)
				}
			}
			return unknown("ord")
		},
		"abs": func(args []Value, kw map[string]Value) Value {
			v := one(args, kw)
			if b, ok := toBig(v); ok {
				return fromBig(new(big.Int).Abs(b))
			}
			if f, ok := v.(Float); ok {
				return max(f, -f)
			}
			return unknown("abs")
		},
		"hex": func(args []Value, kw map[string]Value) Value { return radix(one(args, kw), "#x") },
		"oct": func(args []Value, kw map[string]Value) Value { return radix(one(args, kw), "#o") },
		"bin": func(args []Value, kw map[string]Value) Value { return radix(one(args, kw), "#b") },
		"min": func(args []Value, kw map[string]Value) Value { return extreme(args, kw, -1) },
		"max": func(args []Value, kw map[string]Value) Value { return extreme(args, kw, 1) },
		"sum": func(args []Value, kw map[string]Value) Value {
			if len(args) == 0 || len(args) > 2 || len(kw) > 0 {
				return unknown("sum")
			}
			items, ok := Iterate(args[0])
			var acc Value = Int(0)
			if len(args) == 2 {
				acc = args[1]
			}
			if !ok {
				return unknown("sum")
			}
			for _, v := range items {
				acc = binary('+', acc, v)
			}
			return acc
		},
		"sorted":    sortedFunc,
		"reversed":  reversedFunc,
		"enumerate": enumerateFunc,
		"zip":       zipFunc,
		"map":       mapFunc,
		"filter":    filterFunc,
		"any":       func(args []Value, kw map[string]Value) Value { return anyAll(one(args, kw), true) },
		"all":       func(args []Value, kw map[string]Value) Value { return anyAll(one(args, kw), false) },
		"getattr": func(args []Value, kw map[string]Value) Value {
			if len(args) < 2 || len(args) > 3 || len(kw) > 0 {
				return unknown("getattr")
			}
			name, ok := args[1].(Str)
			if !ok {
				return unknown("getattr")
			}
			v := Attr(args[0], string(name))
			if _, missing := v.(Missing); missing && len(args) == 3 {
				return args[2]
			}
			return v
		},
		"isinstance": isInstance,
		"hasattr": func(args []Value, kw map[string]Value) Value {
			if len(args) != 2 {
				return unknown("hasattr")
			}
			name, ok := args[1].(Str)
			if !ok {
				return unknown("hasattr")
			}
			switch Attr(args[0], string(name)).(type) {
			case Missing:
				return Bool(false)
			case Unknown:
				return unknown("hasattr")
			}
			return Bool(true)
		},
		"object": func([]Value, map[string]Value) Value { return Instance{Func{"object"}.object()} },
	}
}

// isInstance is isinstance for values that know their class.
func isInstance(args []Value, kw map[string]Value) Value {
	if len(args) != 2 || len(kw) > 0 || IsUnknown(args[0]) {
		return unknown("isinstance")
	}
	classes := []Value{args[1]}
	if t, ok := args[1].(Tuple); ok {
		classes = t.Items
	}
	for _, c := range classes {
		o, ok := c.(Object)
		if !ok {
			return unknown("isinstance")
		}
		if k, ok := o.(interface{ HasInstance(Value) (bool, bool) }); ok {
			is, known := k.HasInstance(args[0])
			if !known {
				return unknown("isinstance")
			}
			if is {
				return Bool(true)
			}
			continue
		}
		b, ok := o.(*builtin)
		if !ok {
			return unknown("isinstance")
		}
		is, known := instanceOf(args[0], b.name)
		if !known {
			return unknown("isinstance")
		}
		if is {
			return Bool(true)
		}
	}
	return Bool(false)
}

func instanceOf(v Value, class string) (is, known bool) {
	name := ""
	switch v.(type) {
	case Str:
		name = "str"
	case Bytes:
		name = "bytes"
	case Bool:
		return class == "bool" || class == "int", true
	case Int, BigInt:
		name = "int"
	case Float:
		name = "float"
	case Complex:
		name = "complex"
	case Tuple:
		name = "tuple"
	case *List:
		name = "list"
	case *Dict:
		name = "dict"
	case *Set:
		return false, class != "set" && class != "frozenset"
	case None:
		name = "NoneType"
	default:
		return false, false
	}
	return class == name || class == "object", true
}

func one(args []Value, kw map[string]Value) Value {
	if len(args) != 1 || len(kw) > 0 {
		if len(args) > 0 && len(kw) == 0 {
			return unknown("arguments")
		}
		return unknown("arguments")
	}
	return args[0]
}

func intFunc(args []Value, kw map[string]Value) Value {
	if len(args) == 0 && len(kw) == 0 {
		return Int(0)
	}
	if len(args) == 2 {
		s, ok1 := args[0].(Str)
		base, ok2 := args[1].(Int)
		if ok1 && ok2 && base >= 2 && base <= 36 {
			if b, ok := new(big.Int).SetString(string(s), int(base)); ok {
				return fromBig(b)
			}
		}
		return unknown("int")
	}
	switch v := one(args, kw).(type) {
	case Str:
		if n, err := strconv.ParseInt(strings.TrimSpace(string(v)), 10, 64); err == nil {
			return Int(n)
		}
	case Float:
		if v > -1e15 && v < 1e15 {
			return Int(int64(v))
		}
	case Int, BigInt, Bool:
		b, _ := toBig(v)
		return fromBig(b)
	}
	return unknown("int")
}

func floatFunc(args []Value, kw map[string]Value) Value {
	if len(args) == 0 && len(kw) == 0 {
		return Float(0)
	}
	v := one(args, kw)
	if s, ok := v.(Str); ok {
		t := strings.ToLower(strings.TrimSpace(string(s)))
		if strings.ContainsAny(t, "xp_") {
			return unknown("float")
		}
		if f, err := strconv.ParseFloat(t, 64); err == nil {
			return Float(f)
		}
		return unknown("float")
	}
	if f, ok := toFloat(v); ok {
		return Float(f)
	}
	return unknown("float")
}

func radix(v Value, spec string) Value {
	if s, ok := Format(v, spec); ok {
		return Str(s)
	}
	return unknown("integer")
}
