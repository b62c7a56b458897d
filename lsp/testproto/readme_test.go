package testproto_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source is what the package declares: methods, and types with their fields
// as "name" or "name?".
func source(t *testing.T) (methods map[string]string, types map[string][]string) {
	f, err := parser.ParseFile(token.NewFileSet(), "testproto.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	methods, types = map[string]string{}, map[string][]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if strings.HasPrefix(n.Names[0].Name, "Method") {
				methods[strings.Trim(n.Values[0].(*ast.BasicLit).Value, `"`)] = strings.TrimSpace(n.Comment.Text())
			}
		case *ast.TypeSpec:
			s, ok := n.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range s.Fields.List {
				name, options, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				if options == "omitempty" {
					name += "?"
				}
				types[n.Name.Name] = append(types[n.Name.Name], name)
			}
		}
		return true
	})
	return methods, types
}

// TestReadmeSpecifiesTheTypes compares lsp/README.md with the Go types.
func TestReadmeSpecifiesTheTypes(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	methods, types := source(t)
	said := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| `(\\w+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(b), -1) {
		said[m[1]] = strings.TrimSuffix(m[2]+" -> "+strings.TrimSpace(strings.ReplaceAll(m[3], "`", "")), " -> ")
	}
	if diff := cmp.Diff(methods, said); diff != "" {
		t.Errorf("methods in testproto.go (-) and README.md (+):\n%s", diff)
	}
	specified := map[string][]string{}
	comment := regexp.MustCompile(`(?m)//.*$`)
	inner := regexp.MustCompile(`\{\[[^}]*\}`) // maps
	field := regexp.MustCompile(`(\w+\??):`)
	for _, m := range regexp.MustCompile(`(?ms)^interface (\w+) \{(.*?)\}\s*(?://[^\n]*)?$`).FindAllStringSubmatch(string(b), -1) {
		for _, f := range field.FindAllStringSubmatch(inner.ReplaceAllString(comment.ReplaceAllString(m[2], ""), ""), -1) {
			specified[m[1]] = append(specified[m[1]], f[1])
		}
	}
	if diff := cmp.Diff(types, specified); diff != "" {
		t.Errorf("fields in testproto.go (-) and README.md (+):\n%s", diff)
	}
	states := regexp.MustCompile(`type State = (.*)`).FindStringSubmatch(string(b))[1]
	for _, s := range strings.Split(states, "|") {
		if !slices.Contains(constants(t), strings.Trim(s, `"`)) {
			t.Errorf("README.md has the state %s", s)
		}
	}
}

// constants are the string constants of the package.
func constants(t *testing.T) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "testproto.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			out = append(out, strings.Trim(l.Value, `"`))
		}
		return true
	})
	return out
}
