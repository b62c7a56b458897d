package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// armsOf tells which arms of functions were run, of the files of a state.
type armsOf struct {
	r     *Request
	state history.State
	files map[string][]pysrc.Function
}

// entered adds to functions the names of their arms that rows ran in: all, where
// the rows of a file are not known.
func (a *armsOf) entered(functions map[string][]string, rows map[string][]int) map[string][]string {
	out := make(map[string][]string, len(functions))
	for rel, names := range functions {
		out[rel] = slices.Clone(names)
		ran, known := rows[rel]
		for _, f := range a.of(rel) {
			for _, arm := range f.Arms {
				at, _ := slices.BinarySearch(ran, arm.From)
				if in := at < len(ran) && ran[at] <= arm.To; in || !known && slices.Contains(names, f.Name) {
					out[rel] = append(out[rel], arm.Name)
				}
			}
		}
	}
	for rel, ran := range rows { // of generators that others began
		if _, done := functions[rel]; !done && len(ran) > 0 {
			more := a.entered(map[string][]string{rel: nil}, map[string][]int{rel: ran})
			if len(more[rel]) > 0 {
				out[rel] = more[rel]
			}
		}
	}
	return out
}

// of are the functions of a file that is as the state says; of another one, and
// of one that cannot be parted, none: any edit of it goes by files.
func (a *armsOf) of(rel string) []pysrc.Function {
	all, read := a.files[rel]
	if !read {
		if digest := a.state[rel]; digest != "" && strings.HasSuffix(rel, ".py") {
			content, err := os.ReadFile(file.Abs(a.r.Root, filepath.FromSlash(rel)))
			if err == nil && history.Digest(content) == digest {
				all, _, _ = pysrc.Functions(content)
			}
		}
		a.files[rel] = all
	}
	return all
}
