package pyeval

import (
	"regexp"
	"strings"
)

// match is a match object of a regular expression.
type match struct {
	re     *regexp.Regexp
	groups []Value
}

// compile translates a pattern; nil for what Go's syntax reads another way.
func (p Pattern) compile() *regexp.Regexp {
	src, ok := p.Source.(Str)
	if !ok || p.Flags || strings.Contains(string(src), `\Z`) || strings.Contains(string(src), "(?") && !plainGroups(string(src)) {
		return nil
	}
	re, err := regexp.Compile(string(src))
	if err != nil {
		return nil
	}
	return re
}

// plainGroups reports whether all "(?" are named or non-capturing groups.
func plainGroups(s string) bool {
	for {
		i := strings.Index(s, "(?")
		if i < 0 {
			return true
		}
		s = s[i+2:]
		if !strings.HasPrefix(s, "P<") && !strings.HasPrefix(s, ":") {
			return false
		}
	}
}

// method is search, match and fullmatch on ASCII text: there \d, \w and \s
// mean the same in both languages.
func (p Pattern) method(name string, args []Value) Value {
	re := p.compile()
	s, ok := one(args, nil).(Str)
	if re == nil || !ok || strings.Contains(string(s), "\n") {
		return unknown("regular expression")
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return unknown("regular expression")
		}
	}
	ix := re.FindStringSubmatchIndex(string(s))
	switch name {
	case "search":
	case "match":
		if ix != nil && ix[0] != 0 {
			return unknown("regular expression") // a match further on says nothing about one here
		}
	default:
		return unknown("method " + name)
	}
	if ix == nil {
		return None{}
	}
	m := match{re: re}
	for g := 0; g < len(ix); g += 2 {
		if ix[g] < 0 {
			m.groups = append(m.groups, None{})
		} else {
			m.groups = append(m.groups, s[ix[g]:ix[g+1]])
		}
	}
	return m
}

func (m match) method(name string, args []Value) Value {
	switch name {
	case "group":
		if len(args) == 0 {
			return m.groups[0]
		}
		if k, ok := one(args, nil).(Str); ok {
			if i := m.re.SubexpIndex(string(k)); i >= 0 {
				return m.groups[i]
			}
		}
		if i, ok := one(args, nil).(Int); ok && i >= 0 && int(i) < len(m.groups) {
			return m.groups[i]
		}
	case "groups":
		if len(args) == 0 {
			return Tuple{Items: m.groups[1:]}
		}
	}
	return unknown("method " + name)
}
