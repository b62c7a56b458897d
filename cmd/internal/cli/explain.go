package cli

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

func (p *program) explainCommand(use string) *cobra.Command {
	var f graphFlags
	c := &cobra.Command{
		Use:   "explain NODEID|PATH:LINE [flags] [-- PYTEST-ARGS...]",
		Short: "Say on which files a test depends, and why",
		Long: `Print the files of the project that a test depends on, each below the file
that leads to it by the shortest path, with the reason and the line; and why
test --affected would run it, or need not. Of a line it also says which tests
cover it, where a run with coverage of the language server's has seen that.`,
		Example: "  " + use + ` explain tests/test_api.py::test_login
  ` + use + ` explain tests/test_api.py:42`,
		RunE: func(cmd *cobra.Command, args []string) error {
			own, pytestArgs := split(cmd, args)
			if len(own) != 1 {
				return fmt.Errorf("explain takes one test, by its id, its file or PATH:LINE, not %d", len(own))
			}
			return p.explain(f, own[0], pytestArgs)
		},
	}
	f.add(c)
	return c
}

func (p *program) explain(f graphFlags, where string, pytestArgs []string) error {
	pr, err := p.open(f, pytestArgs)
	if err != nil {
		return err
	}
	defer pr.ws.Close()
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	covering := pr.covering(where)
	items, err := pr.find(where)
	if err != nil {
		if covering == "" {
			return err
		}
		fmt.Fprint(out, covering)
		return out.Flush()
	}
	done := map[string]bool{}
	for _, it := range items {
		if done[it.Path] {
			continue
		}
		if len(done) > 0 {
			fmt.Fprintln(out)
		}
		done[it.Path] = true
		pr.tree(out, it, items)
	}
	p.reasons(out, pr, pytestArgs, items)
	if covering != "" {
		fmt.Fprint(out, "\n", covering)
	}
	return out.Flush()
}

// reasons prints why the tests would run with --affected, or need not; what
// all have in common once.
func (p *program) reasons(out *bufio.Writer, pr *project, pytestArgs []string, items []*pytest.Item) {
	all := p.explainDue(pr, pytestArgs, items)
	for i := 0; i < len(all); {
		r, n := all[i], 1
		for i+n < len(all) && all[i+n].Text == r.Text && all[i+n].Due == r.Due {
			n++
		}
		which := items[i].ID
		switch {
		case n > 1 && n == len(all):
			which = fmt.Sprintf("all %d tests", n)
		case n > 1:
			which += more(n - 1)
		}
		i += n
		due := map[bool]string{true: "due", false: "not due"}[r.Due]
		fmt.Fprintf(out, "\n%s: %s: %s\n", which, due, r.Text)
		for _, e := range r.Path {
			fmt.Fprintf(out, "  %s\n", pr.sentence(e))
		}
	}
}

// find returns the tests that an id, a file or PATH:LINE names.
func (pr *project) find(where string) ([]*pytest.Item, error) {
	w := parseWhere(pr.dir, []string{where})
	if len(w.lines) > 0 {
		found, err := w.filter(pr.suite.Items)
		if err != nil {
			err = &config.UsageError{Message: "no test at " + where + pr.source(w.lines[0].path)}
		}
		return found, err
	}
	if len(w.globs) > 0 {
		return w.filter(pr.suite.Items)
	}
	path, rest, isID := strings.Cut(where, "::")
	path = absolute(pr.dir, path)
	var out []*pytest.Item
	for _, it := range pr.suite.Items {
		_, name, _ := strings.Cut(it.ID, "::")
		_, bare, _ := strings.Cut(pytest.Bare(it.ID), "::")
		if it.Path == path && (!isID || name == rest || bare == rest || strings.HasPrefix(name, rest+"::")) {
			out = append(out, it)
		}
	}
	if len(out) == 0 && !isID && file.Exists(path) {
		return nil, &config.UsageError{Message: "no test is in " + where + pr.source(path)}
	}
	if len(out) == 0 {
		return nil, &config.UsageError{Message: "no test is " + where + nearest(rest, pr.suite.Items)}
	}
	return out, nil
}

// source says where to ask about a path that is no test's.
func (pr *project) source(path string) string {
	if pr.graph.IsRoot(path) || !file.Exists(path) {
		return ""
	}
	return "; which tests an edit reaches says: affected --explain " + relative(pr.dir, path)
}

// tree prints what a test's file depends on.
func (pr *project) tree(out *bufio.Writer, it *pytest.Item, items []*pytest.Item) {
	n := 0
	for _, o := range items {
		if o.Path == it.Path {
			n++
		}
	}
	edges := pr.graph.Reasons(it.Path)
	what := it.ID
	if n > 1 {
		what = plural(n, "test") + " of " + pr.rel(it.Path)
	}
	verb := map[bool]string{true: "depend", false: "depends"}[n > 1]
	fmt.Fprintf(out, "%s %s on %s\n\n%s\n", what, verb, plural(len(edges)+1, "file"), pr.rel(it.Path))
	below := map[string][]graph.Edge{}
	for _, e := range edges {
		below[e.From] = append(below[e.From], e)
	}
	var show func(path string, depth int)
	show = func(path string, depth int) {
		for i, e := range below[path] {
			if e.Kind == graph.Opaque && len(below[path]) > i+3 && len(below[e.To]) == 0 {
				rest := below[path][i:]
				fmt.Fprintf(out, "%s%s and %d more  (%s)\n", strings.Repeat("  ", depth), pr.rel(e.To), len(rest)-1, reason(e))
				for _, e := range rest {
					show(e.To, depth+1)
				}
				return
			}
			fmt.Fprintf(out, "%s%s  (%s)\n", strings.Repeat("  ", depth), pr.rel(e.To), reason(e))
			show(e.To, depth+1)
		}
	}
	show(it.Path, 1)
}

// reason says in a few words why an edge is there.
func reason(e graph.Edge) string {
	line := ""
	if e.Line > 0 {
		line = fmt.Sprintf(" at line %d", e.Line)
	}
	switch e.Kind {
	case graph.Lazy:
		return "imported in a function" + line
	case graph.Dynamic:
		return "imported by name" + line
	case graph.Opaque:
		return "what only running can tell is imported" + line
	case graph.Init:
		return "the package of it"
	case graph.Conftest:
		if _, above := file.Rel(filepath.Dir(e.To), e.From); !above {
			return "its hooks see all tests"
		}
		return "conftest above it"
	case graph.Plugin:
		return "plugin" + line
	case graph.Config:
		return "configuration"
	case graph.Data:
		return "seen to be read"
	case graph.Absent:
		if file.Exists(e.To) {
			return "may be what is imported" + line
		}
		return "looked for" + line + ", and not there"
	}
	return "imported" + line
}
