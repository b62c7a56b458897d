package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// audit has what is due be found by functions, once a comparison has shown
// that this misses nothing.
func (p *program) audit(f graphFlags, pytestArgs []string) error {
	r, ws, err := p.request(testFlags{python: f.python, stateDir: f.stateDir, root: f.root, rest: pytestArgs})
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := r.Check(); err != nil {
		return err
	}
	ctx, stop := p.context()
	defer stop()
	a, err := engine.Audit(ctx, nil, ws.Apply(workspace.Update{}), r)
	var blind *engine.BlindError
	if errors.As(err, &blind) {
		fmt.Fprintf(p.stdout, "%v\ntest --affected goes by files\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s ran, each alone, in %.1f s, and all in %.1f s\n", plural(a.Tests, "test"), a.Observing.Seconds(), a.Running.Seconds())
	fmt.Fprintf(p.stdout, "%d go by the functions that they execute\n", a.Functions)
	for _, why := range slices.Sorted(maps.Keys(a.Not)) {
		fmt.Fprintf(p.stdout, "%d by files: %s\n", a.Not[why], why)
	}
	fmt.Fprintf(p.stdout, "%d would have been left out, %d of these changed their outcome\n", a.Left, len(a.Misses))
	for _, id := range a.Misses {
		fmt.Fprintf(p.stdout, "  %s\n", id)
	}
	if len(a.Misses) > 0 {
		fmt.Fprintln(p.stdout, "test --affected goes by files")
		p.status = 1
		return nil
	}
	fmt.Fprintln(p.stdout, "test --affected goes by functions from now on")
	return nil
}
