package pyeval

// The functions of the builtins module that work on iterables.

func collect(args []Value, kw map[string]Value, make func([]Value) Value) Value {
	if len(args) == 0 && len(kw) == 0 {
		return make([]Value{})
	}
	items, ok := Iterate(one(args, kw))
	if !ok {
		return unknown("iteration")
	}
	return make(append([]Value{}, items...))
}

func setFunc(args []Value, kw map[string]Value) Value {
	if len(args) == 0 {
		return &Set{}
	}
	items, ok := Items(one(args, kw))
	if !ok {
		return unknown("set")
	}
	return setOf(items)
}

func dictFunc(args []Value, kw map[string]Value) Value {
	d := &Dict{}
	if len(args) > 1 || len(kw) > 1 {
		return unknown("dict") // the order of several keywords is lost in a Go map
	}
	if len(args) == 1 {
		if m, ok := args[0].(*Dict); ok {
			d.Keys, d.Values = append(d.Keys, m.Keys...), append(d.Values, m.Values...)
		} else {
			items, ok := Iterate(args[0])
			if !ok {
				return unknown("dict")
			}
			for _, p := range items {
				pair, ok := Iterate(p)
				if !ok || len(pair) != 2 || !d.Set(pair[0], pair[1]) {
					return unknown("dict")
				}
			}
		}
	}
	for k, v := range kw {
		d.Set(Str(k), v)
	}
	return d
}

func rangeOf(args []Value, kw map[string]Value) Value {
	var n [3]int64
	n[2] = 1
	if len(args) == 0 || len(args) > 3 || len(kw) > 0 {
		return unknown("range")
	}
	for i, a := range args {
		b, ok := toBig(a)
		if !ok || !b.IsInt64() {
			return unknown("range")
		}
		n[i] = b.Int64()
	}
	if len(args) == 1 {
		n[0], n[1] = 0, n[0]
	}
	if n[2] == 0 {
		return unknown("range")
	}
	var out []Value
	for i := n[0]; n[2] > 0 && i < n[1] || n[2] < 0 && i > n[1]; i += n[2] {
		if len(out) >= maxItems {
			return unknown("too many items")
		}
		out = append(out, Int(i))
	}
	return &Iter{Items: out, Again: true}
}

func extreme(args []Value, kw map[string]Value, sign int) Value {
	items := args
	if len(args) == 1 {
		var ok bool
		if items, ok = Iterate(args[0]); !ok {
			return unknown("iteration")
		}
	}
	if len(items) == 0 || len(kw) > 0 {
		return unknown("min or max")
	}
	best := items[0]
	for _, v := range items[1:] {
		c, ok := order(v, best)
		if !ok {
			return unknown("comparison")
		}
		if c*sign > 0 {
			best = v
		}
	}
	return best
}

func sortedFunc(args []Value, kw map[string]Value) Value {
	if len(args) != 1 {
		return unknown("sorted")
	}
	items, ok := Items(args[0]) // of a set too: the order of the result is known
	if !ok {
		if items, ok = Iterate(args[0]); !ok {
			return unknown("sorted")
		}
	}
	keyed := items
	reverse := false
	for name, v := range kw {
		switch name {
		case "key":
			if _, none := v.(None); none {
				break
			}
			keyed = make([]Value, len(items))
			for i, x := range items {
				keyed[i] = Call(v, []Value{x}, nil)
			}
		case "reverse":
			t, ok := Truth(v)
			if !ok {
				return unknown("sorted")
			}
			reverse = t
		}
	}
	out, ok := sorted(items, keyed, reverse)
	if !ok {
		return unknown("sorted")
	}
	return &List{out}
}

func reversedFunc(args []Value, kw map[string]Value) Value {
	items, ok := Iterate(one(args, kw))
	if !ok {
		return unknown("reversed")
	}
	out := make([]Value, len(items))
	for i, v := range items {
		out[len(items)-1-i] = v
	}
	return &Iter{Items: out}
}

func enumerateFunc(args []Value, kw map[string]Value) Value {
	start := int64(0)
	if v, ok := kw["start"]; ok {
		n, ok := v.(Int)
		if !ok {
			return unknown("enumerate")
		}
		start = int64(n)
	} else if len(args) == 2 {
		n, ok := args[1].(Int)
		if !ok {
			return unknown("enumerate")
		}
		start = int64(n)
	}
	if len(args) == 0 {
		return unknown("enumerate")
	}
	items, ok := Iterate(args[0])
	if !ok {
		return unknown("enumerate")
	}
	out := make([]Value, len(items))
	for i, v := range items {
		out[i] = Tuple{Items: []Value{Int(start + int64(i)), v}}
	}
	return &Iter{Items: out}
}

func zipFunc(args []Value, kw map[string]Value) Value {
	var columns [][]Value
	n := -1
	for _, a := range args {
		items, ok := Iterate(a)
		if !ok {
			return unknown("zip")
		}
		columns = append(columns, items)
		if n < 0 || len(items) < n {
			n = len(items)
		}
	}
	var out []Value
	for i := 0; i < n; i++ {
		row := make([]Value, len(columns))
		for j := range columns {
			row[j] = columns[j][i]
		}
		out = append(out, Tuple{Items: row})
	}
	return &Iter{Items: out}
}

func mapFunc(args []Value, kw map[string]Value) Value {
	if len(args) < 2 || len(kw) > 0 {
		return unknown("map")
	}
	rows, ok := zipFunc(args[1:], nil).(*Iter)
	if !ok {
		return unknown("map")
	}
	out := make([]Value, len(rows.Items))
	for i, r := range rows.Items {
		out[i] = Call(args[0], r.(Tuple).Items, nil)
	}
	return &Iter{Items: out}
}

func filterFunc(args []Value, kw map[string]Value) Value {
	if len(args) != 2 {
		return unknown("filter")
	}
	items, ok := Iterate(args[1])
	if !ok {
		return unknown("filter")
	}
	var out []Value
	for _, v := range items {
		keep := v
		if _, none := args[0].(None); !none {
			keep = Call(args[0], []Value{v}, nil)
		}
		t, ok := Truth(keep)
		if !ok {
			return unknown("filter")
		}
		if t {
			out = append(out, v)
		}
	}
	return &Iter{Items: out}
}

func anyAll(v Value, stop bool) Value {
	items, ok := Items(v)
	if !ok {
		return unknown("iteration")
	}
	for _, x := range items {
		t, ok := Truth(x)
		if !ok {
			return unknown("condition")
		}
		if t == stop {
			return Bool(stop)
		}
	}
	return Bool(!stop)
}
