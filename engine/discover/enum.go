package discover

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
)

// enumInfo is what an Enum class has.
type enumInfo struct {
	members []pyeval.EnumMember // in the order of definition, without aliases
	aliases map[string]pyeval.EnumMember
	exact   bool // these are all of them
}

// enumeration returns the members of an Enum class, nil for other classes.
func (c *class) enumeration() *enumInfo {
	if c.enum != nil {
		return c.enum
	}
	if c.marking || !c.isA("enum.Enum", "enum.IntEnum", "enum.Flag", "enum.IntFlag", "enum.StrEnum") {
		return nil
	}
	c.marking = true
	defer func() { c.marking = false }()
	e := &enumInfo{aliases: map[string]pyeval.EnumMember{}, exact: c.known && !c.scope.open}
	mixin := c.isA("int", "str", "bytes", "float", "complex", "enum.IntEnum", "enum.IntFlag", "enum.StrEnum")
	flag := c.isA("enum.Flag", "enum.IntFlag")
	for _, en := range c.scope.entries {
		b := en.binds[len(en.binds)-1]
		if strings.HasPrefix(en.name, "_") || b.kind == bindDef || b.kind == bindClass || b.kind == bindDel {
			continue
		}
		v, _ := c.scope.at(en.name, always)
		if s, ok := v.(*symbol); ok && s.path == "enum.auto" || b.kind != bindAssign {
			v = pyeval.Unknown{Why: "auto()"}
		}
		if c.mod.src.B(b.stmt) == "auto()" || c.mod.src.B(b.stmt) == "enum.auto()" {
			v = c.auto(len(e.members), en.name)
		}
		m := pyeval.EnumMember{Class: c, Name: en.name, Value: v, Str: c.memberStr(en.name, v), Mixin: mixin}
		alias := false
		for _, x := range e.members {
			if eq, ok := pyeval.Equal(x.Value, v); ok && eq {
				e.aliases[en.name] = x
				alias = true
			}
		}
		if !alias {
			e.members = append(e.members, m)
		}
		if n, ok := v.(pyeval.Int); flag && (!ok || n <= 0 || n&(n-1) != 0) && !strings.Contains(c.mod.src.B(b.stmt), "auto()") {
			e.exact = false // since 3.11 only the canonical members are listed
		}
		if _, unknown := v.(pyeval.Unknown); unknown && !strings.Contains(c.mod.src.B(b.stmt), "auto()") {
			e.exact = false
		}
	}
	c.enum = e
	return e
}

// auto is the value that auto() gives the n-th member.
func (c *class) auto(n int, name string) pyeval.Value {
	if c.scope.index["_generate_next_value_"] != nil || c.isA("enum.Flag", "enum.IntFlag") {
		return pyeval.Unknown{Why: "auto()"}
	}
	if c.isA("enum.StrEnum") {
		return pyeval.Str(strings.ToLower(name))
	}
	return pyeval.Unknown{Why: "auto()"} // n+1 unless an earlier member has a larger value
}

// memberStr is str() of a member: its value in the classes that say so, of
// which StrEnum came with 3.11.
func (c *class) memberStr(name string, v pyeval.Value) pyeval.Value {
	if _, _, own := c.find("__str__"); own {
		return pyeval.Unknown{Why: "str of " + name}
	}
	if c.isA("enum.IntEnum", "enum.IntFlag", "enum.StrEnum") && c.mod.w.env.Version.AtLeast(3, 11) {
		if s, ok := pyeval.ToStr(v); ok {
			return pyeval.Str(s)
		}
		return pyeval.Unknown{Why: "str of " + name}
	}
	return pyeval.Str(c.name + "." + name)
}

// Iterate lists an Enum's members.
func (c *class) Iterate() ([]pyeval.Value, bool) {
	e := c.enumeration()
	if e == nil {
		return nil, false
	}
	out := make([]pyeval.Value, len(e.members))
	for i, m := range e.members {
		out[i] = m
	}
	return out, e.exact
}

// Item is Enum["NAME"].
func (c *class) Item(ix pyeval.Value) pyeval.Value {
	if s, ok := ix.(pyeval.Str); ok && c.enumeration() != nil {
		return c.Attr(string(s))
	}
	return pyeval.Unknown{Why: "subscript of a class"}
}
