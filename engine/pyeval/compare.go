package pyeval

import (
	"math"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// Comparison, order and access to elements.

func (e *evaluator) compare(n *pyexpr.Node) Value {
	left := e.eval(n.Kids[0])
	for i, op := range n.Ops {
		right := e.eval(n.Kids[i+1])
		t, ok := compare(op, left, right)
		if !ok {
			return unknown("comparison")
		}
		if !t {
			return Bool(false)
		}
		left = right
	}
	return Bool(true)
}

func compare(op string, v, w Value) (truth, ok bool) {
	if IsUnknown(v) || IsUnknown(w) {
		return false, false
	}
	switch op {
	case "==", "!=":
		eq, ok := Equal(v, w)
		return eq == (op == "=="), ok
	case "is", "is not":
		same, ok := identical(v, w)
		return same == (op == "is"), ok
	case "in", "not in":
		in, ok := contains(w, v)
		return in == (op == "in"), ok
	}
	c, ok := order(v, w)
	switch op {
	case "<":
		return c < 0, ok
	case ">":
		return c > 0, ok
	case "<=":
		return c <= 0, ok
	case ">=":
		return c >= 0, ok
	}
	return false, false
}

// identical is v is w, for values of which there is one.
func identical(v, w Value) (bool, bool) {
	single := func(v Value) bool {
		switch v.(type) {
		case None, Bool, Ellipsis:
			return true
		}
		return false
	}
	if single(v) || single(w) {
		a, okA := key(v)
		b, okB := key(w)
		if okA && okB {
			return a == b && single(v) == single(w), true
		}
		return false, true // None against a list, a class, a module
	}
	return false, false
}

func contains(container, v Value) (bool, bool) {
	if s, ok := container.(Str); ok {
		t, ok := v.(Str)
		return ok && strings.Contains(string(s), string(t)), ok
	}
	items, ok := Items(container)
	if !ok {
		return false, false
	}
	for _, x := range items {
		eq, ok := Equal(x, v)
		if !ok {
			return false, false
		}
		if eq {
			return true, true
		}
	}
	return false, true
}

// order compares numbers, strings and sequences of them.
func order(v, w Value) (int, bool) {
	if a, ok := toBig(v); ok {
		if b, ok := toBig(w); ok {
			return a.Cmp(b), true
		}
	}
	if x, ok := toFloat(v); ok {
		if y, ok := toFloat(w); ok {
			switch {
			case x < y:
				return -1, true
			case x > y:
				return 1, true
			}
			return 0, !math.IsNaN(x) && !math.IsNaN(y)
		}
	}
	switch x := v.(type) {
	case Str:
		if y, ok := w.(Str); ok {
			return strings.Compare(string(x), string(y)), true // UTF-8 keeps the order of code points
		}
	case Bytes:
		if y, ok := w.(Bytes); ok {
			return strings.Compare(string(x), string(y)), true
		}
	case Tuple:
		if y, ok := w.(Tuple); ok {
			return orderAll(x.Items, y.Items)
		}
	case *List:
		if y, ok := w.(*List); ok {
			return orderAll(x.Items, y.Items)
		}
	}
	return 0, false
}

func orderAll(a, b []Value) (int, bool) {
	for i := 0; i < len(a) && i < len(b); i++ {
		eq, ok := Equal(a[i], b[i])
		if !ok {
			return 0, false
		}
		if !eq {
			return order(a[i], b[i])
		}
	}
	return len(a) - len(b), true
}

// sorted returns the items in order; false when they do not compare.
func sorted(items []Value, keyed []Value, reverse bool) ([]Value, bool) {
	ix := make([]int, len(items))
	for i := range ix {
		ix[i] = i
	}
	ok := true
	sort.SliceStable(ix, func(i, j int) bool {
		a, b := keyed[ix[i]], keyed[ix[j]]
		if reverse {
			a, b = b, a
		}
		c, known := order(a, b)
		ok = ok && known
		return c < 0
	})
	out := make([]Value, len(items))
	for i, j := range ix {
		out[i] = items[j]
	}
	return out, ok
}

// index returns the position i of a sequence of length n, as Python counts.
func index(v Value, n int) (int, bool) {
	b, ok := toBig(v)
	if !ok || !b.IsInt64() {
		return 0, false
	}
	i := int(b.Int64())
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

func item(v, ix Value) Value {
	switch s := v.(type) {
	case *Dict:
		if x, ok := s.Get(ix); ok {
			return x
		}
		return unknown("key")
	case Tuple, *List, Str, Bytes:
		items, _ := Items(s)
		if i, ok := index(ix, len(items)); ok {
			return items[i]
		}
		return unknown("index")
	case Object:
		if it, ok := s.(interface{ Item(Value) Value }); ok {
			return it.Item(ix)
		}
	}
	return unknown("subscript")
}

func slice(v Value, bounds [3]Value) Value {
	items, ok := Items(v)
	if !ok {
		return unknown("slice")
	}
	n := len(items)
	step := 1
	at := func(b Value, def int) (int, bool) {
		if b == nil {
			return def, true
		}
		if _, none := b.(None); none {
			return def, true
		}
		x, ok := toBig(b)
		if !ok || !x.IsInt64() {
			return 0, false
		}
		return int(max(-1<<40, min(1<<40, x.Int64()))), true
	}
	step, ok = at(bounds[2], 1)
	if !ok || step == 0 {
		return unknown("slice")
	}
	clamp := func(i, low, high int) int {
		if i < 0 {
			i += n
		}
		return max(low, min(high, i))
	}
	var out []Value
	if step > 0 {
		from, ok1 := at(bounds[0], 0)
		to, ok2 := at(bounds[1], n)
		if !ok1 || !ok2 {
			return unknown("slice")
		}
		for i, end := clamp(from, 0, n), clamp(to, 0, n); i < end; i += step {
			out = append(out, items[i])
		}
	} else {
		from, ok1 := at(bounds[0], n-1)
		to, ok2 := at(bounds[1], -n-1)
		if !ok1 || !ok2 {
			return unknown("slice")
		}
		for i, end := clamp(from, -1, n-1), clamp(to, -1, n-1); i > end; i += step {
			out = append(out, items[i])
		}
	}
	switch v.(type) {
	case Tuple:
		return Tuple{Items: out}
	case *List:
		return &List{out}
	case Str:
		var b strings.Builder
		for _, x := range out {
			b.WriteString(string(x.(Str)))
		}
		return Str(b.String())
	case Bytes:
		b := make([]byte, len(out))
		for i, x := range out {
			b[i] = byte(x.(Int))
		}
		return Bytes(b)
	case *Iter:
		return &Iter{Items: out}
	}
	return unknown("slice")
}
