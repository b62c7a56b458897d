package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// testFlags are the flags of test that are ours; all others are pytest's.
type testFlags struct {
	python, stateDir, root, format, profile string
	parallel                                config.Parallel
	tx                                      string
	shard, durations, seed                  string
	timeout, retries, reruns, stress, junit string
	profileOut                              string

	affected bool
	since    string // the revision of --affected=REV

	flakyFail, cold, spread, ci, timings bool
	daemon, noDaemon                     bool // the second is for wanted, which has read it
	help, watch                          bool
	unobserved                           bool     // hidden: tests that ran are not observed anew
	repeat                               bool     // hidden: each line of standard input is a run's further arguments
	exact                                bool     // rest is pytest's whole command line: no WHERE of ours in it
	rest                                 []string // for pytest
}

// parallelValues are pytest-xdist's options, which are ours to do.
func (f *testFlags) parallelValues() map[string]*string {
	return map[string]*string{
		"-n": &f.parallel.Workers, "--numprocesses": &f.parallel.Workers, "--dist": &f.parallel.Dist, "--maxprocesses": &f.parallel.Max,
		"--tx": &f.tx,
	}
}

// parseTestFlags takes our flags out of a command line.
func parseTestFlags(dir string, args []string) (f testFlags, err error) {
	f.format = "text"
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == "-r" && i+1 < len(args) && file.IsDir(absolute(dir, args[i+1])) {
			args = slices.Clone(args)
			args[i] = "--root" // letters that name no folder are pytest's -r
		}
		f.help = f.help || a == "-h" || a == "--help"
	}
	values := f.parallelValues()
	for name, to := range map[string]*string{
		"--python": &f.python, "--state-dir": &f.stateDir, "--root": &f.root, "--format": &f.format, "--profile": &f.profile,
		"--shard": &f.shard, "--durations-file": &f.durations, "--seed": &f.seed, "--timeout": &f.timeout, "--retries": &f.retries,
		"--reruns": &f.reruns, "--stress": &f.stress, "--junit-output": &f.junit,
		"--profile-out": &f.profileOut,
	} {
		values[name] = to
	}
	args = f.takeAffected(args)
	f.rest, err = take(args, values, map[string]*bool{
		"--fail-on-flaky": &f.flakyFail, "--cold": &f.cold, "--ci": &f.ci, "-d": &f.spread, "--timings": &f.timings,
		"--daemon": &f.daemon, "--no-daemon": &f.noDaemon, "--repeat-stdin": &f.repeat, "--unobserved": &f.unobserved, "--watch": &f.watch,
	})
	if err == nil && !slices.Contains([]string{"text", "jsonl"}, f.format) {
		err = fmt.Errorf("--format %s: there are text and jsonl", f.format)
	}
	if f.junit != "" {
		f.rest = append([]string{"--junitxml=" + f.junit}, f.rest...)
	}
	return f, f.settle(err)
}

// takeAffected takes --affected and --affected=REV out of a command line, and
// the same by the name of --changed.
func (f *testFlags) takeAffected(args []string) []string {
	rest := make([]string, 0, len(args))
	for i, a := range args {
		name, rev, _ := strings.Cut(a, "=")
		switch {
		case a == "--":
			return append(rest, args[i:]...)
		case name == "--affected" || name == "--changed":
			f.affected, f.since = true, rev
		default:
			rest = append(rest, a)
		}
	}
	return rest
}

// parsePytestFlags takes only what is ours to do of pytest's own command line.
func parsePytestFlags(args []string) (testFlags, error) {
	f := testFlags{format: "text", exact: true}
	var err error
	f.rest, err = take(args, f.parallelValues(), map[string]*bool{"-d": &f.spread})
	return f, f.settle(err)
}

func (f *testFlags) settle(err error) error {
	if f.tx != "" {
		f.parallel.Tx = []string{f.tx}
	}
	if f.spread && f.parallel.Dist == "" {
		f.parallel.Dist = string(plan.Load)
	}
	return err
}

// take moves our options out of a command line, up to "--", and returns the
// rest.
func take(args []string, values map[string]*string, switches map[string]*bool) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(rest, args[i:]...), nil
		}
		name, value, eq := strings.Cut(a, "=")
		if v, ok := strings.CutPrefix(a, "-n"); ok && (v == "auto" || v == "logical" || isDigits(v)) {
			name, value, eq = "-n", v, true
		}
		on, to := switches[a], values[name]
		switch {
		case on != nil:
			*on = true
		case to == nil:
			rest = append(rest, a)
		case eq:
			*to = value
		case i+1 < len(args):
			i++
			*to = args[i]
		default:
			return nil, fmt.Errorf("%s needs an argument", name)
		}
	}
	return rest, nil
}

func isDigits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// number reads the value of a flag, 0 when it was not given.
func number(flag, value string) (int, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s %s: it takes a number", flag, value)
	}
	return int(n), nil
}

// limit is how long a test may take. Where pytest-timeout is installed its
// option is its own, and further arguments for pytest say so.
func (f *testFlags) limit(env *pyenv.Env, cfg *config.Config) (limit time.Duration, more []string, err error) {
	if f.timeout != "" {
		seconds, err := strconv.ParseFloat(f.timeout, 64)
		if err != nil || seconds < 0 {
			return 0, nil, fmt.Errorf("--timeout %s: it takes seconds", f.timeout)
		}
		limit = time.Duration(seconds * float64(time.Second))
	} else if cfg != nil {
		limit = cfg.Tool.Limit()
	}
	if limit > 0 && has(env, "timeout") {
		return 0, []string{"--timeout=" + strconv.FormatFloat(limit.Seconds(), 'g', -1, 64)}, nil
	}
	if cfg != nil && cfg.Interactive {
		limit = 0 // somebody is typing
	}
	return limit, nil, nil
}

// again is how often a failed test runs again. --reruns is its plugin's where
// that is installed.
func (f *testFlags) again(env *pyenv.Env) (n int, more []string, err error) {
	if f.reruns != "" && f.retries == "" {
		if has(env, "rerunfailures") {
			return 0, []string{"--reruns", f.reruns}, nil
		}
		n, err = number("--reruns", f.reruns)
		return n, nil, err
	}
	n, err = number("--retries", f.retries)
	return n, nil, err
}

// has reports whether a plugin of pytest is installed, by its entry point.
func has(env *pyenv.Env, name string) bool {
	return slices.ContainsFunc(env.Plugins, func(p pyenv.Plugin) bool { return p.Name == name })
}
