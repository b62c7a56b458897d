package discover

import (
	"math"
	"path"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
)

// Pure functions of the standard library that values are made with.

var inf, nan = math.Inf(1), math.NaN()

// maxProduct bounds what itertools may make of its arguments.
const maxProduct = 1 << 17

func versionInfo(env *pyenv.Env) pyeval.Value {
	v := env.Version
	var micro pyeval.Value = pyeval.Int(v.Patch)
	if !env.MicroKnown {
		micro = pyeval.Unknown{Why: "the micro version of the interpreter"}
	}
	return pyeval.Tuple{
		Items: []pyeval.Value{pyeval.Int(v.Major), pyeval.Int(v.Minor), micro, pyeval.Str("final"), pyeval.Int(0)},
		Type:  pyeval.VersionInfo,
	}
}

func itertools(name string, args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	fail := pyeval.Unknown{Why: "itertools." + name}
	var columns [][]pyeval.Value
	for _, a := range args {
		items, ok := pyeval.Iterate(a)
		if !ok {
			columns = nil
			break
		}
		columns = append(columns, items)
	}
	switch name {
	case "chain":
		if len(columns) != len(args) {
			return fail
		}
		var out []pyeval.Value
		for _, c := range columns {
			out = append(out, c...)
		}
		return &pyeval.Iter{Items: out}
	case "chain.from_iterable":
		if len(columns) != 1 {
			return fail
		}
		return itertools("chain", columns[0], nil)
	case "product":
		n := 1
		if r, ok := kwargs["repeat"].(pyeval.Int); ok {
			n = int(r)
		} else if len(kwargs) > 0 {
			return fail
		}
		if len(columns) != len(args) || n < 0 || n > 16 {
			return fail
		}
		var all [][]pyeval.Value
		for range n {
			all = append(all, columns...)
		}
		return product(all)
	case "combinations", "permutations", "combinations_with_replacement":
		if len(args) == 0 {
			return fail
		}
		items, ok := pyeval.Iterate(args[0])
		r := len(items)
		if len(args) == 2 {
			n, isInt := args[1].(pyeval.Int)
			ok = ok && isInt
			r = int(n)
		} else if name != "permutations" {
			return fail
		}
		if !ok || len(items) > 64 || r > 16 || len(kwargs) > 0 {
			return fail
		}
		return choose(name, items, r)
	case "repeat":
		if n, ok := second(args).(pyeval.Int); ok && n >= 0 && n < maxProduct {
			out := make([]pyeval.Value, n)
			for i := range out {
				out[i] = args[0]
			}
			return &pyeval.Iter{Items: out}
		}
	}
	return fail
}

func second(args []pyeval.Value) pyeval.Value {
	if len(args) != 2 {
		return nil
	}
	return args[1]
}

func product(columns [][]pyeval.Value) pyeval.Value {
	rows := [][]pyeval.Value{nil}
	for _, c := range columns {
		if len(rows)*len(c) > maxProduct {
			return pyeval.Unknown{Why: "too many items"}
		}
		next := make([][]pyeval.Value, 0, len(rows)*len(c))
		for _, r := range rows {
			for _, v := range c {
				next = append(next, append(r[:len(r):len(r)], v))
			}
		}
		rows = next
	}
	return tuples(rows)
}

func tuples(rows [][]pyeval.Value) pyeval.Value {
	out := make([]pyeval.Value, len(rows))
	for i, r := range rows {
		out[i] = pyeval.Tuple{Items: r}
	}
	return &pyeval.Iter{Items: out}
}

// choose is combinations, permutations and combinations_with_replacement.
func choose(name string, items []pyeval.Value, r int) pyeval.Value {
	var rows [][]pyeval.Value
	used := make([]bool, len(items))
	var row []pyeval.Value
	var step func(from int) bool
	step = func(from int) bool {
		if len(row) == r {
			rows = append(rows, append([]pyeval.Value{}, row...))
			return len(rows) <= maxProduct
		}
		for i := from; i < len(items); i++ {
			if used[i] {
				continue
			}
			next := i + 1
			switch name {
			case "permutations":
				next = 0
				used[i] = true
			case "combinations_with_replacement":
				next = i
			}
			row = append(row, items[i])
			ok := step(next)
			row = row[:len(row)-1]
			used[i] = false
			if !ok {
				return false
			}
		}
		return true
	}
	if !step(0) {
		return pyeval.Unknown{Why: "too many items"}
	}
	return tuples(rows)
}

// osPath is os.path.<name> on POSIX.
func osPath(name string, args []pyeval.Value) pyeval.Value {
	fail := pyeval.Unknown{Why: "os.path." + name}
	text := func(v pyeval.Value) (string, bool) {
		switch v := v.(type) {
		case pyeval.Str:
			return string(v), true
		case pyeval.Path:
			return v.Text, true
		}
		return "", false
	}
	var parts []string
	for _, a := range args {
		s, ok := text(a)
		if !ok {
			return fail
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return fail
	}
	p := parts[0]
	switch name {
	case "join":
		out := p
		for _, s := range parts[1:] {
			switch {
			case strings.HasPrefix(s, "/"):
				out = s
			case out == "" || strings.HasSuffix(out, "/"):
				out += s
			default:
				out += "/" + s
			}
		}
		return pyeval.Str(out)
	case "dirname":
		i := strings.LastIndexByte(p, '/') + 1
		head := p[:i]
		if strings.Trim(head, "/") != "" {
			head = strings.TrimRight(head, "/")
		}
		return pyeval.Str(head)
	case "basename":
		return pyeval.Str(p[strings.LastIndexByte(p, '/')+1:])
	case "abspath", "realpath", "normpath":
		if strings.HasPrefix(p, "/") {
			return pyeval.Str(path.Clean(p))
		}
	case "splitext":
		base := p[strings.LastIndexByte(p, '/')+1:]
		if i := strings.LastIndexByte(strings.TrimLeft(base, "."), '.'); i >= 0 {
			cut := len(p) - (len(strings.TrimLeft(base, ".")) - i)
			return pyeval.Tuple{Items: []pyeval.Value{pyeval.Str(p[:cut]), pyeval.Str(p[cut:])}}
		}
		return pyeval.Tuple{Items: []pyeval.Value{pyeval.Str(p), pyeval.Str("")}}
	case "isabs":
		return pyeval.Bool(strings.HasPrefix(p, "/"))
	}
	return fail
}

// dedent is textwrap.dedent.
func dedent(s string) string {
	lines := strings.Split(s, "\n")
	margin, first := "", true
	for i, l := range lines {
		t := strings.TrimLeft(l, " \t")
		if t == "" {
			lines[i] = ""
			continue
		}
		indent := l[:len(l)-len(t)]
		if first {
			margin, first = indent, false
			continue
		}
		for !strings.HasPrefix(indent, margin) {
			margin = margin[:len(margin)-1]
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, margin)
	}
	return strings.Join(lines, "\n")
}
