package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine/graph"
)

func (p *program) graphCommand(use string) *cobra.Command {
	var f graphFlags
	c := &cobra.Command{
		Use:   "graph [flags] [-- PYTEST-ARGS...]",
		Short: "Print which file of the project depends on which",
		Long: `Print the files that tests depend on, and the edges between them with their
kind and line, for Graphviz or as JSON. Edges for type checkers are printed and
never followed. An opaque edge leads to the folder that holds what may be
imported.`,
		Example: "  " + use + ` graph | dot -Tsvg > graph.svg
  ` + use + ` graph --format json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			own, pytestArgs := split(cmd, args)
			if len(own) > 0 {
				return fmt.Errorf("graph takes no arguments, got %s", own[0])
			}
			return p.graph(f, pytestArgs)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.format, "format", "dot", "output `FORMAT`: dot or json")
	return c
}

func (p *program) graph(f graphFlags, pytestArgs []string) error {
	if !slices.Contains([]string{"dot", "json"}, f.format) {
		return fmt.Errorf("--format %s: there are dot and json", f.format)
	}
	pr, err := p.open(f, pytestArgs)
	if err != nil {
		return err
	}
	defer pr.ws.Close()
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	if f.format == "dot" {
		pr.dot(out)
	} else {
		err = pr.json(out)
	}
	if e := out.Flush(); err == nil {
		err = e
	}
	return err
}

// styles are how edges are drawn; others are plain.
var styles = map[graph.Kind]string{
	graph.Lazy: "style=dashed", graph.Dynamic: "style=dashed", graph.Opaque: "style=bold, color=red", graph.Absent: "style=dotted, color=red",
	graph.TypeChecking: "style=dotted, color=gray", graph.Conftest: "color=blue", graph.Plugin: "color=blue", graph.Config: "color=gray",
	graph.Init: "color=gray",
}

func (pr *project) dot(out io.Writer) {
	fmt.Fprintln(out, "digraph {\n  rankdir=LR\n  node [shape=box]")
	for p := range pr.graph.Files() {
		if pr.graph.IsRoot(p) {
			fmt.Fprintf(out, "  %q [style=filled]\n", pr.rel(p))
		}
		for _, e := range pr.graph.Edges(p) {
			fmt.Fprintf(out, "  %q -> %q [%s]\n", pr.rel(e.From), pr.rel(e.To), styles[e.Kind])
		}
	}
	fmt.Fprintln(out, "}")
}

type graphFile struct {
	Path  string `json:"path"`
	Tests bool   `json:"tests"`
}

type graphEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"`
	Line uint32 `json:"line,omitempty"`
}

func (pr *project) json(out io.Writer) error {
	doc := struct {
		Root  string      `json:"root"`
		Files []graphFile `json:"files"`
		Edges []graphEdge `json:"edges"`
	}{Root: pr.root, Files: []graphFile{}, Edges: []graphEdge{}}
	for p := range pr.graph.Files() {
		doc.Files = append(doc.Files, graphFile{pr.rel(p), pr.graph.IsRoot(p)})
		for _, e := range pr.graph.Edges(p) {
			doc.Edges = append(doc.Edges, graphEdge{pr.rel(e.From), pr.rel(e.To), e.Kind.String(), e.Line})
		}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(doc)
}
