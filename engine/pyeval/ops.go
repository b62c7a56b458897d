package pyeval

import (
	"math"
	"math/big"
	"strings"
)

// toBig returns the integer value of v: an int or a bool.
func toBig(v Value) (*big.Int, bool) {
	switch v := v.(type) {
	case Int:
		return big.NewInt(int64(v)), true
	case BigInt:
		return v.V, true
	case Bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	}
	return nil, false
}

func fromBig(b *big.Int) Value {
	if b.IsInt64() {
		return Int(b.Int64())
	}
	return BigInt{b}
}

func toFloat(v Value) (float64, bool) {
	if f, ok := v.(Float); ok {
		return float64(f), true
	}
	b, ok := toBig(v)
	if !ok || b.BitLen() > 1000 {
		return 0, false
	}
	f, _ := new(big.Float).SetInt(b).Float64()
	return f, true
}

func toComplex(v Value) (complex128, bool) {
	if c, ok := v.(Complex); ok {
		return complex128(c), true
	}
	f, ok := toFloat(v)
	return complex(f, 0), ok
}

func unary(op byte, v Value) Value {
	if op == 'n' {
		t, ok := Condition(v)
		if !ok {
			return unknown("condition")
		}
		return Bool(!t)
	}
	if f, ok := v.(Float); ok {
		switch op {
		case '-':
			return -f
		case '+':
			return f
		}
		return unknown("operand")
	}
	if c, ok := v.(Complex); ok {
		switch op {
		case '-':
			return -c
		case '+':
			return c
		}
		return unknown("operand")
	}
	b, ok := toBig(v)
	if !ok {
		return unknown("operand")
	}
	switch op {
	case '-':
		return fromBig(new(big.Int).Neg(b))
	case '+':
		return fromBig(b)
	}
	return fromBig(new(big.Int).Not(b))
}

func binary(op byte, v, w Value) Value {
	a, okA := toBig(v)
	b, okB := toBig(w)
	if okA && okB {
		return intOp(op, a, b)
	}
	if x, ok := v.(Str); ok {
		return strOp(op, x, w)
	}
	if okA || okB {
		n, seq := a, w
		if okB {
			n, seq = b, v
		}
		if op == '*' {
			if r := repeat(seq, n); r != nil {
				return r
			}
		}
	}
	if x, ok := toFloat(v); ok {
		if y, ok := toFloat(w); ok {
			return floatOp(op, x, y)
		}
	}
	if x, ok := toComplex(v); ok {
		if y, ok := toComplex(w); ok {
			switch op {
			case '+':
				return Complex(x + y)
			case '-':
				return Complex(x - y)
			case '*':
				return Complex(x * y)
			}
		}
	}
	if x, ok := v.(Instance); ok && (op == '+' || op == '-') {
		if y, ok := w.(Instance); ok && x.date() && y.date() {
			return x // a date or timedelta again: neither has a __name__
		}
	}
	if op == '/' {
		if p, ok := v.(Path); ok {
			return p.join(w)
		}
	}
	return joinOp(op, v, w)
}

// date reports whether the instance is of a class of datetime.
func (x Instance) date() bool {
	l, ok := x.Class.(interface{ LibraryPath() string })
	return ok && strings.HasPrefix(l.LibraryPath(), "datetime.")
}

// joinOp is + on sequences and | & - on sets and dicts.
func joinOp(op byte, v, w Value) Value {
	switch x := v.(type) {
	case Tuple:
		if y, ok := w.(Tuple); ok && op == '+' && x.Type == "" && len(x.Items)+len(y.Items) <= maxItems {
			return Tuple{Items: concat(x.Items, y.Items)}
		}
	case *List:
		if y, ok := w.(*List); ok && op == '+' && len(x.Items)+len(y.Items) <= maxItems {
			return &List{concat(x.Items, y.Items)}
		}
	case Bytes:
		if y, ok := w.(Bytes); ok && op == '+' && len(x)+len(y) <= maxBytes {
			return x + y
		}
	case *Dict:
		if y, ok := w.(*Dict); ok && op == '|' {
			d := &Dict{append([]Value{}, x.Keys...), append([]Value{}, x.Values...)}
			for i := range y.Keys {
				d.Set(y.Keys[i], y.Values[i])
			}
			return d
		}
	case *Set:
		if y, ok := w.(*Set); ok {
			return x.op(op, y)
		}
	}
	return unknown("operator")
}

func concat(a, b []Value) []Value {
	return append(append(make([]Value, 0, len(a)+len(b)), a...), b...)
}

func (s *Set) op(op byte, t *Set) Value {
	has := func(s *Set, v Value) bool {
		k, _ := key(v)
		for _, x := range s.Items {
			if y, _ := key(x); y == k {
				return true
			}
		}
		return false
	}
	out := &Set{}
	for _, v := range s.Items {
		if in := has(t, v); op == '|' || op == '&' && in || (op == '-' || op == '^') && !in {
			out.Items = append(out.Items, v)
		}
	}
	for _, v := range t.Items {
		if in := has(s, v); !in && (op == '|' || op == '^') {
			out.Items = append(out.Items, v)
		}
	}
	return out
}

// repeat is seq * n; nil when seq is no sequence.
func repeat(seq Value, n *big.Int) Value {
	k := 0
	if n.IsInt64() && n.Int64() > 0 {
		k = int(min(n.Int64(), maxBytes+1))
	} else if n.Sign() > 0 {
		k = maxBytes + 1
	}
	switch s := seq.(type) {
	case Str:
		if len(s)*k > maxBytes {
			return unknown("too long")
		}
		return Str(strings.Repeat(string(s), k))
	case Bytes:
		if len(s)*k > maxBytes {
			return unknown("too long")
		}
		return Bytes(strings.Repeat(string(s), k))
	case Tuple, *List:
		items, _ := Items(s)
		if len(items)*k > maxItems {
			return unknown("too many items")
		}
		out := make([]Value, 0, len(items)*k)
		for range k {
			out = append(out, items...)
		}
		if _, ok := s.(Tuple); ok {
			return Tuple{Items: out}
		}
		return &List{out}
	}
	return nil
}

func intOp(op byte, a, b *big.Int) Value {
	if a.BitLen() > 1<<16 || b.BitLen() > 1<<16 {
		return unknown("too large")
	}
	r := new(big.Int)
	switch op {
	case '+':
		return fromBig(r.Add(a, b))
	case '-':
		return fromBig(r.Sub(a, b))
	case '*':
		return fromBig(r.Mul(a, b))
	case '&':
		return fromBig(r.And(a, b))
	case '|':
		return fromBig(r.Or(a, b))
	case '^':
		return fromBig(r.Xor(a, b))
	case 'd', '%':
		if b.Sign() == 0 {
			return unknown("division by zero")
		}
		q, m := floorDiv(a, b)
		if op == 'd' {
			return fromBig(q)
		}
		return fromBig(m)
	case '/':
		x, ok1 := toFloat(fromBig(a))
		y, ok2 := toFloat(fromBig(b))
		if !ok1 || !ok2 {
			return unknown("too large")
		}
		return floatOp('/', x, y)
	case 'p':
		if b.Sign() < 0 {
			x, ok1 := toFloat(fromBig(a))
			y, ok2 := toFloat(fromBig(b))
			if !ok1 || !ok2 {
				return unknown("power")
			}
			return floatOp('p', x, y)
		}
		if !b.IsInt64() || int64(a.BitLen())*b.Int64() > 1<<15 {
			return unknown("too large")
		}
		return fromBig(r.Exp(a, b, nil))
	case 'l':
		if !b.IsInt64() || b.Sign() < 0 || b.Int64() > 1<<14 {
			return unknown("shift")
		}
		return fromBig(r.Lsh(a, uint(b.Int64())))
	case 'r':
		if !b.IsInt64() || b.Sign() < 0 {
			return unknown("shift")
		}
		return fromBig(r.Rsh(a, uint(min(b.Int64(), 1<<20))))
	}
	return unknown("operator")
}

// floorDiv divides as Python does: the remainder has the divisor's sign.
func floorDiv(a, b *big.Int) (q, m *big.Int) {
	q, m = new(big.Int).QuoRem(a, b, new(big.Int))
	if m.Sign() != 0 && m.Sign() != b.Sign() {
		q.Sub(q, big.NewInt(1))
		m.Add(m, b)
	}
	return q, m
}

func floatOp(op byte, x, y float64) Value {
	switch op {
	case '+':
		return Float(x + y)
	case '-':
		return Float(x - y)
	case '*':
		return Float(x * y)
	case '/':
		if y == 0 {
			return unknown("division by zero")
		}
		return Float(x / y)
	case 'd':
		if y == 0 {
			return unknown("division by zero")
		}
		return Float(math.Floor(x / y))
	case 'p':
		if r := math.Pow(x, y); !math.IsNaN(r) && !math.IsInf(r, 0) && (x != 0 || y >= 0) {
			return Float(r)
		}
	}
	return unknown("operator")
}

func strOp(op byte, s Str, w Value) Value {
	switch op {
	case '+':
		if t, ok := w.(Str); ok && len(s)+len(t) <= maxBytes {
			return s + t
		}
	case '*':
		if n, ok := toBig(w); ok {
			return repeat(s, n)
		}
	case '%':
		if r, ok := percent(string(s), w); ok {
			return Str(r)
		}
	}
	return unknown("operator")
}

// Combine is v op w, of the operators that binary nodes have.
func Combine(op byte, v, w Value) Value { return binary(op, v, w) }
