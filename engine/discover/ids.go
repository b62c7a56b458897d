package discover

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// paramSet is one set of values of a parametrize call.
type paramSet struct {
	id     string // as pytest makes it
	hidden bool
	values []pyeval.Value
	marks  []pyeval.Value
}

// parametrization is one parametrize call, or a parametrized fixture.
type parametrization struct {
	args  []string
	sets  []paramSet
	scope pytest.Scope
	fixed bool // indirect: a fixture's own params
}

// idMaker makes the ids of one parametrize call (_pytest/python.py IdMaker,
// in 6.2 idmaker) by the rules of a version.
type idMaker struct {
	w    *world
	args []string
	sets []rawSet
	ids  []pyeval.Value // of a list of ids, nil for none
	fn   pyeval.Value   // ids= as a function, nil for none
}

// rawSet is a parameter set as written.
type rawSet struct {
	values []pyeval.Value
	id     pyeval.Value // of pytest.param, None for none
	marks  []pyeval.Value
}

// make returns the ids; reason says why they cannot be known.
func (k *idMaker) make() (out []paramSet, reason pytest.Reason) {
	out = make([]paramSet, len(k.sets))
	v := k.w.version
	for i, s := range k.sets {
		out[i].values, out[i].marks = s.values, s.marks
		id, hidden, reason := k.one(i, s)
		if reason != pytest.Exact {
			return nil, reason
		}
		out[i].id, out[i].hidden = id, hidden
	}
	counts := make(map[string]int, len(out))
	dup := false
	for _, s := range out {
		key := s.key()
		counts[key]++
		dup = dup || counts[key] > 1
	}
	if !dup {
		return out, pytest.Exact
	}
	if k.w.cfg.StrictIDs || counts[hiddenKey] > 1 {
		return nil, pytest.IDs // a collection error
	}
	suffix := map[string]int{}
	taken := map[string]bool{}
	for _, s := range out {
		taken[s.id] = true
	}
	for i := range out {
		id := out[i].id
		if out[i].hidden || counts[id] < 2 {
			continue
		}
		sep := ""
		if v.AtLeast(8, 0) {
			if r, _ := utf8.DecodeLastRuneInString(id); id != "" && unicode.IsDigit(r) {
				sep = "_"
			}
		}
		next := id + sep + strconv.Itoa(suffix[id])
		for v.AtLeast(8, 0) && taken[next] {
			suffix[id]++
			next = id + sep + strconv.Itoa(suffix[id])
		}
		suffix[id]++
		out[i].id = next
		taken[next] = true
		if v.AtLeast(8, 0) && !stillTaken(out, id) {
			delete(taken, id)
		}
	}
	return out, pytest.Exact
}

func stillTaken(sets []paramSet, id string) bool {
	for _, s := range sets {
		if s.id == id {
			return true
		}
	}
	return false
}

const hiddenKey = "\x00hidden"

func (s *paramSet) key() string {
	if s.hidden {
		return hiddenKey
	}
	return s.id
}

func (k *idMaker) one(i int, s rawSet) (id string, hidden bool, reason pytest.Reason) {
	if id, hidden, ok := k.given(s.id, true); ok {
		return id, hidden, pytest.Exact
	}
	if _, none := s.id.(pyeval.None); !none && s.id != nil {
		return "", false, pytest.IDs
	}
	if i < len(k.ids) {
		x := k.ids[i]
		if _, none := x.(pyeval.None); !none {
			id, hidden, ok := k.given(x, false)
			if !ok {
				return "", false, pytest.IDs
			}
			return id, hidden, pytest.Exact
		}
	}
	var b strings.Builder
	for j, val := range s.values {
		if j > 0 {
			b.WriteByte('-')
		}
		part, reason := k.value(val, k.args[j], i)
		if reason != pytest.Exact {
			return "", false, reason
		}
		b.WriteString(part)
	}
	return b.String(), false, pytest.Exact
}

// given is an id that the user wrote: of pytest.param, or in the list of ids.
func (k *idMaker) given(x pyeval.Value, param bool) (id string, hidden, ok bool) {
	v := k.w.version
	switch x := x.(type) {
	case pyeval.Str:
		if param && !v.AtLeast(8, 4) {
			return pyeval.Escape(string(x)), false, true
		}
		return k.escape(string(x)), false, true
	case pyeval.Hidden:
		return "", true, v.AtLeast(8, 4)
	}
	if param {
		return "", false, false
	}
	switch x.(type) {
	case pyeval.Int, pyeval.BigInt, pyeval.Float, pyeval.Bool:
		s, ok := pyeval.ToStr(x)
		return s, false, ok
	}
	if !v.AtLeast(7, 1) {
		return "", false, false
	}
	s, ok, _ := k.plain(x)
	return s, false, ok
}

func (k *idMaker) escape(s string) string {
	if k.w.cfg.NoEscape {
		return s
	}
	return pyeval.Escape(s)
}

// value makes the part of an id that one value gives.
func (k *idMaker) value(val pyeval.Value, arg string, i int) (string, pytest.Reason) {
	v := k.w.version
	if k.w.hooks.ids {
		return "", pytest.IDs
	}
	_, notSet := val.(pyeval.NotSet)
	if k.fn != nil && !(notSet && v.AtLeast(8, 4)) {
		r := pyeval.Call(k.fn, []pyeval.Value{val}, nil)
		if _, none := r.(pyeval.None); !none {
			s, ok, known := k.plain(r)
			if !known || pyeval.IsUnknown(r) {
				return "", pytest.IDs
			}
			if ok {
				return s, pytest.Exact
			}
			if !v.AtLeast(7, 1) {
				return arg + strconv.Itoa(i), pytest.Exact
			}
		}
	}
	if pyeval.IsUnknown(val) {
		return "", pytest.Values
	}
	if n, raw, ok := textLen(val); ok && n > 100 && v.AtLeast(9, 2) {
		switch k.w.cfg.LongStr {
		case "legacy":
		case "sha256":
			sum := sha256.Sum256([]byte(raw))
			return hex.EncodeToString(sum[:]), pytest.Exact
		case "disallow":
			return "", pytest.Values // a collection error
		default:
			return arg + strconv.Itoa(i), pytest.Exact
		}
	}
	s, ok, known := k.plain(val)
	switch {
	case !known:
		return "", pytest.Values
	case ok:
		return s, pytest.Exact
	}
	return arg + strconv.Itoa(i), pytest.Exact
}

// textLen is the length of a str or bytes as Python counts it.
func textLen(v pyeval.Value) (n int, raw string, ok bool) {
	switch v := v.(type) {
	case pyeval.Str:
		return utf8.RuneCountInString(string(v)), string(v), true
	case pyeval.Bytes:
		return len(v), string(v), true
	case pyeval.EnumMember:
		if c, is := v.Class.(*class); is && c.isA("str", "bytes", "enum.StrEnum") {
			return textLen(v.Value)
		}
	}
	return 0, "", false
}

// plain is _idval_from_value: ok says that the type of the value has an id,
// known that this is certain.
func (k *idMaker) plain(val pyeval.Value) (id string, ok, known bool) {
	switch v := val.(type) {
	case pyeval.Str:
		return k.escape(string(v)), true, true
	case pyeval.Bytes:
		return pyeval.EscapeBytes(string(v)), true, !k.w.cfg.NoEscape
	case pyeval.None, pyeval.Bool, pyeval.Int, pyeval.BigInt, pyeval.Float:
		s, ok := pyeval.ToStr(val)
		return s, ok, ok
	case pyeval.Complex:
		if !k.w.version.AtLeast(7, 0) {
			return "", false, true
		}
		s, ok := pyeval.ToStr(val)
		return s, ok, ok
	case pyeval.Pattern:
		switch p := v.Source.(type) {
		case pyeval.Str:
			return pyeval.Escape(string(p)), true, true
		case pyeval.Bytes:
			return pyeval.EscapeBytes(string(p)), true, true
		}
		return "", false, false
	case pyeval.EnumMember:
		if c, is := v.Class.(*class); is {
			switch {
			case c.isA("str", "bytes", "enum.StrEnum"):
				return k.plain(v.Value) // a str or bytes before it is a member
			case c.isA("float", "complex"):
				return "", false, false
			}
		}
		s, ok := pyeval.ToStr(v)
		return s, ok, ok
	case pyeval.Func:
		return v.Name, true, true
	case *pyeval.Iter:
		return "", false, v.Again // a generator has a name, a zip has none
	case pyeval.Tuple, *pyeval.List, *pyeval.Dict, *pyeval.Set, pyeval.Ellipsis, pyeval.Path, pyeval.Instance,
		pyeval.NotSet, pyeval.Hidden, mark, *object:
		return "", false, true
	case pyeval.Param:
		return "", false, true
	case *symbol:
		if _, ok := v.markName(); ok {
			return "", false, true
		}
		if name := v.PyName(); name != "" {
			return name, true, true
		}
		return "", false, false
	case pyeval.Object:
		if name := v.PyName(); name != "" {
			return name, true, true
		}
	}
	return "", false, false
}
