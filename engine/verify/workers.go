package verify

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/plan"
)

// worthwhile is how many seconds plain pytest must take for several workers to
// be used unasked: the processes cost some 20 ms, module fixtures are set up
// in each.
const worthwhile = 2

// Workers says in a request how many workers it has, and how tests are given to
// them: what the flags say, else [tool.dx-py], else addopts and PYTEST_ADDOPTS.
// Where none of them says a number it is 1, or all processors where the
// self-check found that several give the same answers, and exact does not ask
// for what plain pytest does. cfg may be nil.
func Workers(r *engine.Request, flags config.Parallel, cfg *config.Config, env map[string]string, version string, exact bool) (err error) {
	if r.Workers, r.Dist, err = said(flags, cfg, env); err != nil || r.Workers > 0 {
		return err
	}
	r.Workers = 1
	if v, ok := Kept(*r, version); ok && !exact && v.Parallel && v.Seconds > worthwhile {
		r.Workers = Processors(env)
	}
	return nil
}

// said is the number of workers that somebody names, 0 where nobody does.
func said(flags config.Parallel, cfg *config.Config, env map[string]string) (n int, dist plan.Dist, err error) {
	var theirs config.Parallel
	tool := ""
	if cfg != nil {
		theirs, tool = cfg.Parallel, cfg.Tool.WorkerCount()
	}
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	dist = plan.Dist(first(flags.Dist, theirs.Dist))
	if dist != "" && !slices.Contains(plan.Dists, dist) {
		return 0, "", fmt.Errorf("--dist %s: there are %s", dist, join(plan.Dists))
	}
	tx := flags.Tx
	if len(tx) == 0 {
		tx = theirs.Tx
	}
	switch w := first(flags.Workers, tool, theirs.Workers); {
	case w == "auto" || w == "logical":
		n = Processors(env)
		if most := first(flags.Max, theirs.Max); most != "" {
			limit, err := strconv.ParseUint(most, 10, 31)
			if err != nil {
				return 0, "", fmt.Errorf("--maxprocesses %s: it takes a number", most)
			}
			n = min(n, max(int(limit), 1))
		}
	case w != "":
		v, err := strconv.ParseUint(w, 10, 16)
		if err != nil {
			return 0, "", fmt.Errorf("-n %s: there are a number and auto", w)
		}
		n = max(int(v), 1)
	case len(tx) > 0:
		for _, spec := range tx {
			count, _, star := strings.Cut(spec, "*")
			if v, err := strconv.Atoi(count); star && err == nil {
				n += v
			} else {
				n++
			}
		}
		n = max(n, 1)
	}
	return n, dist, nil
}

// Processors is what auto means; the variable is pytest-xdist's.
func Processors(env map[string]string) int {
	if n, err := strconv.Atoi(env["PYTEST_XDIST_AUTO_NUM_WORKERS"]); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU()
}

func join(dists []plan.Dist) string {
	names := make([]string, len(dists))
	for i, d := range dists {
		names[i] = string(d)
	}
	return strings.Join(names, ", ")
}
