package pool

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// What differs from shell to shell and from terminal to terminal, and decides
// about nothing that is kept (execution.md, "Key"): the run's own is set in
// its processes before a test can see it. TERM, COLUMNS and LINES are not
// among them, for pytest's first lines are written by them.
var (
	perRun         = []string{"_", "SHLVL", "OLDPWD", "PWD", "WINDOWID"}
	perRunPrefixes = []string{"TERM_", "VSCODE_", "SSH_", "DBUS_"}
)

func isPerRun(name string) bool {
	return slices.Contains(perRun, name) || slices.ContainsFunc(perRunPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// environ splits KEY=VALUE lines into those that are in a stage's key and
// those of a run.
func environ(vars []string) (key []string, own map[string]string) {
	own = map[string]string{}
	for _, kv := range vars {
		if k, v, ok := strings.Cut(kv, "="); ok && isPerRun(k) && utf8.ValidString(v) { // JSON carries it
			own[k] = v
			continue
		}
		key = append(key, kv)
	}
	slices.Sort(key)
	return key, own
}

// renewal is what a run has of its own where a stage has something else: the
// stage's value and the run's, nil for none. A variable that the project's
// code has set meanwhile, to neither, stays as it set it.
func renewal(stage, run []string) map[string][2]*string {
	_, before := environ(stage)
	_, now := environ(run)
	out := map[string][2]*string{}
	for k, v := range before {
		if w, ok := now[k]; !ok {
			out[k] = [2]*string{&v, nil}
		} else if v != w {
			out[k] = [2]*string{&v, &w}
		}
	}
	for k, v := range now {
		if _, ok := before[k]; !ok {
			out[k] = [2]*string{nil, &v}
		}
	}
	return out
}
