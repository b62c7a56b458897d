package engine

import "slices"

// undisturbed are options that a run has in which a person may wait at a
// breakpoint: nothing of pytest's own interrupts it, and nobody else traces it.
func (r *Request) undisturbed() (args []string) {
	if !r.Env.HasPytest {
		return nil
	}
	args = []string{"-o", "faulthandler_timeout=0"}
	blocked := func(name string) bool {
		return r.Config != nil && (r.Config.NoAutoload || slices.Contains(r.Config.Plugins, "no:"+name))
	}
	if r.plugin("pytest_cov") && !blocked("pytest_cov") && !blocked("cov") {
		args = append(args, "--no-cov")
	}
	return args
}
