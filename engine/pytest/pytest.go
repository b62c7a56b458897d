// Package pytest is pytest's vocabulary: node ids, items, marks, scopes,
// versions, and the expressions of -k and -m.
package pytest

import (
	"strconv"
	"strings"
)

// Version is a release of pytest, or of Python.
type Version struct{ Major, Minor, Patch int }

// Newest is the release whose rules apply where none is known.
var Newest = Version{9, 2, 0}

// ParseVersion reads "9.2.0", "8.4.0rc1", "7.4".
func ParseVersion(s string) (v Version, ok bool) {
	for i, dst := range []*int{&v.Major, &v.Minor, &v.Patch} {
		head, rest, more := strings.Cut(s, ".")
		n := 0
		for n < len(head) && head[n] >= '0' && head[n] <= '9' {
			n++
		}
		x, err := strconv.Atoi(head[:n])
		if err != nil {
			return v, i > 0
		}
		*dst = x
		if !more || n < len(head) {
			break
		}
		s = rest
	}
	return v, true
}

// AtLeast reports whether v is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Since reports whether v is major.minor.patch or newer.
func (v Version) Since(major, minor, patch int) bool {
	return v.AtLeast(major, minor+1) || v.Major == major && v.Minor == minor && v.Patch >= patch || v.Major > major
}

func (v Version) String() string {
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Patch)
}

// Scope is the scope of a fixture, the narrowest first as in pytest.
type Scope uint8

const (
	FunctionScope Scope = iota
	ClassScope
	ModuleScope
	PackageScope
	SessionScope
)

// ParseScope reads a scope's name.
func ParseScope(s string) (Scope, bool) {
	switch s {
	case "function":
		return FunctionScope, true
	case "class":
		return ClassScope, true
	case "module":
		return ModuleScope, true
	case "package":
		return PackageScope, true
	case "session":
		return SessionScope, true
	}
	return FunctionScope, false
}

func (s Scope) String() string {
	return [...]string{"function", "class", "module", "package", "session"}[s]
}

// Reason says why an item is listed bare: its cases, or whether it exists at
// all, are known only at run time. The list is closed and part of the output.
type Reason string

const (
	Exact         Reason = ""
	GenerateTests Reason = "generate-tests"  // a pytest_generate_tests hook
	Values        Reason = "computed-values" // values of parametrize or of a fixture's params
	IDs           Reason = "computed-ids"    // ids= is a function, or its values are computed
	PluginFixture Reason = "plugin-fixture"  // a fixture of a plugin, which may be parametrized
	ModifyItems   Reason = "modifyitems"     // a pytest_collection_modifyitems hook
	Collector     Reason = "collector"       // a hook that makes nodes of its own
	DynamicClass  Reason = "dynamic-class"   // a class made by a call or a metaclass
	Decorated     Reason = "decorated"       // a decorator that may replace the function
	Unresolved    Reason = "unresolved"      // a base class or import that is not found
	OldVersion    Reason = "version"         // a rule of a pytest version that is not reproduced
	Conditional   Reason = "conditional"     // whether it exists depends on what only running can tell
)

// Reasons is the closed list, in the order of reports.
var Reasons = []Reason{
	GenerateTests, Values, IDs, PluginFixture, ModifyItems, Collector, DynamicClass, Decorated, Unresolved, OldVersion, Conditional,
}

// Kind says what an item is.
type Kind uint8

const (
	Function Kind = iota // a test function or method without cases
	Case                 // one case of a parametrized one
	Doctest              // a docstring or text file
)

func (k Kind) String() string { return [...]string{"function", "case", "doctest"}[k] }

// Mark is a mark that applies to a node.
type Mark struct {
	Name string
	// Kwargs holds the keyword arguments whose values -m can compare: string,
	// int64, bool or nil. Others are absent.
	Kwargs map[string]any
}

// Node is a collector or a test function: what -k and -m ask for names.
type Node struct {
	Parent *Node
	Name   string
	Marks  []Mark
	Extra  []string // attributes of the function, for -k
	NoName bool     // its name does not count for -k (session, rootdir)
}

// Item is one entry of the list of tests.
type Item struct {
	ID      string // pytest's node id, or a bare function id
	Reason  Reason // Exact, or why the id is bare
	Kind    Kind
	Path    string // absolute path of the file that the item is collected from
	Source  string // absolute path of the file that holds the function: Path, or a base class' file
	Line    uint32 // 1-based; the first decorator's line, as pytest reports it
	Head    uint32 // 1-based line of the "def"
	EndLine uint32
	Col     uint32 // 0-based byte column of the name on Head
	Node    *Node
	Params  []Mark // marks of the case's parameter sets
}

// Exact reports whether ID is a node id that pytest has.
func (it *Item) Exact() bool { return it.Reason == Exact }

// Bare returns an id without its case: cut before the first "[" that follows
// the first "::".
func Bare(id string) string {
	start := strings.Index(id, "::")
	if start < 0 {
		return id
	}
	if cut := strings.IndexByte(id[start+2:], '['); cut >= 0 {
		return id[:start+2+cut]
	}
	return id
}

// ID is a node id taken apart.
type ID struct {
	Path  string   // relative to the rootdir, with slashes
	Names []string // classes and the function
	Case  string   // with its brackets, or ""
}

// ParseID takes an id apart as pytest does: the case begins at the first "["
// behind the first "::".
func ParseID(id string) ID {
	bare := Bare(id)
	parts := strings.Split(bare, "::")
	return ID{Path: parts[0], Names: parts[1:], Case: id[len(bare):]}
}

func (id ID) String() string {
	s := id.Path
	for _, n := range id.Names {
		s += "::" + n
	}
	return s + id.Case
}
