package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joho/godotenv"
	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/verify"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

func (p *program) testCommand(use string) *cobra.Command {
	return &cobra.Command{
		Use:   "test [WHERE...] [flags and pytest's options]",
		Short: "Run tests with the project's own pytest",
		Long: `Run tests with the project's own pytest, in a warm worker process: same
outcomes, same output, same exit status.

WHERE is a file or folder, a node id, PATH:LINE for the test there, or a
pattern with * and ? for the names of functions and classes or for whole ids.
Every option that is not listed below is pytest's. Where there is no pytest,
unittest runs the tests, with its own options.

Flags:
  -n N                   run on N workers; auto is one for each processor
      --dist MODE        how tests are given to them, as pytest-xdist: load,
                         loadscope, loadfile, loadgroup, worksteal
      --maxprocesses N   no more than N workers with -n auto
      --affected[=REV]   only tests that are due: that have not passed with all
                         they depend on as it is; with REV those that differ
                         from where HEAD left REV (--changed is the same)
      --shard I/N        only the I-th of N parts of the tests
      --durations-file F seconds by test id (JSON): parts and workers get about
                         the same time; a run without --shard brings it up to date
      --seed N           shuffle the modules by N; order and placement can be
                         had again by the same N and the same -n
      --timeout S        fail a test that takes longer than S seconds
      --retries N        run a test that fails up to N times again, in a fresh
                         process; one that passes then is flaky
      --fail-on-flaky    exit status 1 when a test is flaky
      --stress N         run everything N times, until something fails
      --profile NAME     arguments and variables of [tool.dx-py.profile.NAME]
      --junit-output F   as --junitxml
      --ci               failures are annotations and a summary on GitHub
      --cold             a fresh interpreter, nothing remembered
      --format FORMAT    text, or jsonl: one JSON object a line (default text)
      --python PATH      the interpreter, or its virtual environment
      --watch            run, then again on each change; keys: a (all),
                         f (failed), p (pattern), Enter (again), q (quit)
  -r, --root DIR         run in DIR instead of the working directory
      --state-dir DIR    keep state in DIR (default: the user's cache folder)
      --no-daemon        run here, not in the resident process (see daemon);
                         --daemon uses it where CI is set too
      --cold             a fresh interpreter, and no stored state is read
      --timings          say on standard error where the time went
  -h, --help             this text

Exit status: pytest's.`,
		Example: "  " + use + ` test
  ` + use + ` test tests/test_api.py -k "login and not slow" -x
  ` + use + ` test 'test_auth*'
  ` + use + ` test --watch tests/unit
  ` + use + ` test tests/test_api.py:42 --format jsonl`,
		DisableFlagParsing: true,
		RunE: p.withTestFlags(func(f testFlags) error {
			switch {
			case f.watch:
				return p.watch(f)
			case f.repeat:
				return p.repeat(f)
			}
			return p.test(f)
		}),
	}
}

// withTestFlags is a command that takes test's flags.
func (p *program) withTestFlags(do func(testFlags) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		f, err := parseTestFlags(p.dir, args)
		switch {
		case err != nil:
			return err
		case f.help:
			return cmd.Help()
		}
		return do(f)
	}
}

// pytestCommand takes pytest's exact command line.
func (p *program) pytestCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "pytest [ARGS...]",
		Short:              "Run tests; takes exactly pytest's command line",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := parsePytestFlags(args)
			if err != nil {
				return err
			}
			return p.test(f)
		},
	}
}

// repeat makes a run of each line of standard input in one engine, and tells
// its time on standard error; for tests and benchmarks of warm runs.
func (p *program) repeat(f testFlags) error {
	p.engine = &engine.Engine{}
	defer p.engine.Close()
	lines := bufio.NewScanner(p.stdin)
	p.stdin = nil
	for lines.Scan() {
		again := f
		again.rest = append(slices.Clone(f.rest), strings.Fields(lines.Text())...)
		began := time.Now()
		if err := p.test(again); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "exit status %d, %.1f ms\n", p.status, float64(time.Since(began).Microseconds())/1e3)
	}
	return lines.Err()
}

// request is a run as flags ask for it, with WHERE resolved. The workspace is
// the caller's to close.
func (p *program) request(f testFlags) (r engine.Request, ws *workspace.Workspace, err error) {
	dir := p.dir
	state := p.stateDir(f.stateDir)
	if f.cold {
		state = ""
	}
	if f.root != "" {
		if dir = absolute(p.dir, f.root); !file.IsDir(dir) {
			return r, nil, fmt.Errorf("--root %s: no such folder", f.root)
		}
	}
	vars := slices.Clone(p.vars)
	if f.profile != "" {
		var more []string
		if more, err = p.profile(&f, dir); err != nil {
			return r, nil, err
		}
		vars = append(vars, more...)
	}
	args, ws, err := p.selection(f, dir, state)
	if err != nil {
		return r, nil, err
	}
	cfg, env, err := ws.Apply(workspace.Update{}).Configure()
	var ours *config.ToolError
	if p.call != nil && cfg != nil && unwelcome(cfg, f) {
		err = &daemon.Declined{}
	}
	var no *daemon.Declined
	if env == nil || errors.As(err, &ours) || errors.As(err, &no) { // any other error in the configuration is pytest's to tell
		ws.Close()
		return r, nil, err
	}
	r = engine.Request{Env: env, Dir: dir, Vars: vars, Args: args, State: state, FlakyFail: f.flakyFail}
	if cfg != nil {
		r.Config, r.Root, r.Terminal, r.Module = cfg, cfg.Root, cfg.Interactive, cfg.Tool.Invocation == "python -m pytest"
		if cfg.Tool.StateDir != "" && f.stateDir == "" && !f.cold {
			r.State = absolute(cfg.Root, cfg.Tool.StateDir)
		}
	}
	if err := f.apply(&r, cfg, p.env); err != nil {
		ws.Close()
		return r, nil, err
	}
	return r, ws, nil
}

// profile adds a profile's arguments to the flags and returns its variables.
func (p *program) profile(f *testFlags, dir string) (vars []string, err error) {
	cfg, err := config.Load(config.Input{Dir: dir, Args: f.rest, AddOpts: p.env["PYTEST_ADDOPTS"]}, pytest.Newest)
	if err != nil {
		return nil, err
	}
	chosen, ok := cfg.Tool.Profile[f.profile]
	if !ok {
		names := slices.Sorted(maps.Keys(cfg.Tool.Profile))
		return nil, fmt.Errorf("--profile %s: [tool.dx-py.profile] of %s has %s", f.profile, filepath.Join(cfg.Root, "pyproject.toml"), orNone(strings.Join(names, ", ")))
	}
	f.rest = append(slices.Clone(chosen.Args), f.rest...)
	for _, k := range slices.Sorted(maps.Keys(chosen.Env)) {
		vars = append(vars, k+"="+chosen.Env[k])
	}
	return vars, nil
}

// apply puts what the flags say of the run into the request.
func (f *testFlags) apply(r *engine.Request, cfg *config.Config, env map[string]string) (err error) {
	if r.Workers, r.Dist, err = f.workers(cfg, env); err != nil {
		return err
	}
	if r.Workers == 0 {
		r.Workers = 1
		if v, ok := verify.Kept(*r, Version); ok && !f.exact && v.Parallel && v.Seconds > worthwhile {
			r.Workers = processors(env)
		}
	}
	limit, more, err := f.limit(r.Env, cfg)
	if err != nil {
		return err
	}
	retries, moreRetries, err := f.again(r.Env)
	if err != nil {
		return err
	}
	r.Timeout, r.Retries = limit, retries
	r.Args = slices.Concat(more, moreRetries, r.Args)
	if f.shard != "" {
		if r.Shard, err = plan.ParseShard(f.shard); err != nil {
			return err
		}
	}
	if f.seed != "" {
		seed, err := strconv.ParseInt(f.seed, 10, 64)
		if err != nil {
			return fmt.Errorf("--seed %s: it takes a number", f.seed)
		}
		r.Seed = &seed
	}
	if cfg != nil && cfg.Tool.EnvFile != "" {
		read, err := godotenv.Read(absolute(cfg.Root, cfg.Tool.EnvFile))
		if err != nil {
			return fmt.Errorf("reading env_file of [tool.dx-py]: %w", err)
		}
		for _, k := range slices.Sorted(maps.Keys(read)) {
			if _, set := env[k]; !set { // what the shell says goes before
				r.Vars = append(r.Vars, k+"="+read[k])
			}
		}
	}
	return nil
}

// worthwhile is how many seconds plain pytest must take for several workers to
// be used unasked: the processes cost some 20 ms, module fixtures are set up
// in each.
const worthwhile = 2

// test runs what the flags say, once or, with --stress, until something fails.
func (p *program) test(f testFlags) error {
	rounds, err := number("--stress", f.stress)
	if err != nil || rounds < 2 {
		if err == nil {
			err = p.testOnce(f)
		}
		return err
	}
	if p.engine == nil && p.call == nil && !f.cold {
		p.engine = &engine.Engine{}
		defer func() {
			p.engine.Close()
			p.engine = nil
		}()
	}
	for k := 1; k <= rounds && p.status == 0; k++ {
		fmt.Fprintf(p.stderr, "round %d of %d\n", k, rounds)
		if err := p.testOnce(f); err != nil {
			return err
		}
		if p.status != 0 {
			fmt.Fprintf(p.stderr, "round %d of %d failed\n", k, rounds)
		}
	}
	return nil
}

// testOnce makes one run, of which more sinks may be told. Its exit status is
// the program's.
func (p *program) testOnce(f testFlags, sinks ...run.Sink) error {
	if f.timings {
		p.timings = p.newTimings()
	}
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	defer ws.Close()
	if f.exact {
		if err := r.Check(); err != nil {
			return err // the command line is pytest's
		}
	}
	e := p.engine
	if p.call != nil {
		if r.Terminal {
			return &daemon.Declined{} // it is the caller's terminal, and its process group
		}
		e, r.Kill = p.call.Engine(cmp.Or(r.Root, r.Dir)), p.call.Kill
		p.call.Begin()
	}
	unchanged := 0
	if f.affected {
		e.Settle()
		d, err := p.affectedOnly(ws, &r, &f)
		if err != nil {
			return err
		}
		if unchanged = len(d.Items) - d.Count(); len(d.Files) == 0 {
			return p.nothingDue(f, unchanged)
		}
	}
	p.timings.mark("selection")
	ctx, stop := p.context()
	defer stop()
	var known history.Durations
	if f.durations != "" {
		if known, err = history.LoadDurations(absolute(p.dir, f.durations)); err != nil {
			return err
		}
		r.Durations = known.Seconds
	}
	r.Stderr = asFile(p.stderr)
	var lines *report.JSONL
	var footer report.Footer
	switch f.format {
	case "jsonl":
		lines = report.NewJSONL(p.stdout)
		sinks, r.Texts, r.Terminal = append(sinks, lines), true, false
	default:
		r.Stdout, r.Stdin = asFile(p.stdout), asFile(p.stdin)
		if discover.Unittest(r.Env) && r.Workers <= 1 && isTerminal(r.Stdin) {
			r.Terminal = true // unittest captures nothing: breakpoint() works
		}
		r.Terminal = r.Terminal && r.Stdin != nil
		sinks = append(sinks, &footer)
	}
	if f.ci && p.env["GITHUB_ACTIONS"] != "" {
		hub, done, err := p.github(&r)
		if err != nil {
			return err
		}
		defer done()
		sinks = append(sinks, hub)
	}
	if isTerminal(r.Stderr) {
		sinks = append(sinks, report.Slow{Out: p.stderr})
	}
	var took results
	if f.durations != "" && r.Shard.N < 2 {
		sinks = append(sinks, &took)
	}
	if f.cold {
		e = nil
	}
	if p.timings != nil {
		r.Synced = func() { p.timings.mark("sync") }
		sinks = append(sinks, p.timings)
	}
	p.status, err = e.Run(ctx, r, sinks...)
	if lines != nil && err == nil {
		err = lines.Err
	}
	if len(took) > 0 && err == nil {
		err = known.Save(absolute(p.dir, f.durations), took)
	}
	if f.affected && f.format == "text" && err == nil {
		fmt.Fprintln(p.stdout, unchangedLine(footer.Ran(), unchanged, f.since))
	}
	p.footer(&footer, r.Stdout)
	p.timings.mark("render")
	if p.call == nil {
		p.timings.print(p.stderr)
	}
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(p.stderr, "interrupted while the tests were collected")
		p.status = exitInterrupted
		return nil
	}
	if err == nil && f.format == "text" && discover.Unittest(r.Env) {
		p.needPytest(ws, r.Env)
	}
	var none *engine.NoPytestError
	if err != nil && !errors.As(err, &none) && !errors.Is(err, pyenv.ErrNone) {
		fmt.Fprintf(p.stderr, "error: %v\n", err)
		err = nil
	}
	return err
}

// github is the sink for a step on GitHub.
func (p *program) github(r *engine.Request) (hub *report.GitHub, done func(), err error) {
	hub = &report.GitHub{Out: p.stderr}
	if top := p.env["GITHUB_WORKSPACE"]; top != "" {
		if rel, in := file.Rel(filepath.Clean(top), r.Root); in && rel != "." {
			hub.Prefix = rel + "/"
		}
	}
	r.Texts = true
	path := p.env["GITHUB_STEP_SUMMARY"]
	if path == "" {
		return hub, func() {}, nil
	}
	summary, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("writing the step's summary: %w", err)
	}
	hub.Summary = summary
	return hub, func() { summary.Close() }, nil
}

// nothingDue ends a run that has nothing to do.
func (p *program) nothingDue(f testFlags, unchanged int) error {
	if f.format == "jsonl" {
		lines := report.NewJSONL(p.stdout)
		lines.Event(run.Event{Started: &run.Started{Workers: 1, Mode: "fast"}})
		lines.Event(run.Event{Ended: &run.Ended{Unchanged: unchanged}})
		return lines.Err
	}
	fmt.Fprintln(p.stdout, unchangedLine(0, unchanged, f.since))
	return nil
}

// results are those of a run.
type results []pytest.Result

// Event keeps a result.
func (r *results) Event(e run.Event) {
	if e.Test != nil {
		*r = append(*r, *e.Test)
	}
}

// footer says how the tests were run: what pytest's last line cannot say
// always, the rest on a terminal.
func (p *program) footer(f *report.Footer, out *os.File) {
	if flaky := f.Flaky(); flaky != "" {
		fmt.Fprintf(p.stdout, "%s\n", flaky)
	}
	if line := f.Line(); line != "" && isTerminal(out) {
		dim, reset := "", ""
		if p.color() {
			dim, reset = "\x1b[2m", "\x1b[0m"
		}
		fmt.Fprintf(p.stdout, "%s · %s%s\n", dim, line, reset)
	}
}

// needPytest says which files hold tests that unittest has not run.
func (p *program) needPytest(ws *workspace.Workspace, env *pyenv.Env) {
	suite, err := ws.Apply(workspace.Update{}).Suite()
	if err != nil {
		return // said by the run
	}
	var files []string
	for _, x := range suite.Problems {
		if strings.HasSuffix(x.Message, env.NoPytest()) {
			files = append(files, relative(p.dir, x.Path))
		}
	}
	switch n := len(files); {
	case n == 1:
		fmt.Fprintf(p.stderr, "%s has tests that need pytest: %s\n", files[0], env.NoPytest())
	case n > 1:
		fmt.Fprintf(p.stderr, "%s and %d more have tests that need pytest: %s\n", files[0], n-1, env.NoPytest())
	}
}

// selection turns WHERE into pytest's arguments: lines and patterns into the
// ids of the tests that are found there.
func (p *program) selection(f testFlags, dir, state string) ([]string, *workspace.Workspace, error) {
	open := func(args []string) *workspace.Workspace {
		return workspace.New(workspace.Settings{
			Dir: dir, Args: args, Python: p.python(f.python), Env: p.env, StateDir: state,
		})
	}
	at, _, err := config.Positional(f.rest)
	if err != nil || f.exact {
		return f.rest, open(f.rest), nil // pytest says what is wrong
	}
	var words []string
	for _, i := range at {
		words = append(words, f.rest[i])
	}
	w := parseWhere(dir, words)
	if len(w.lines) == 0 && len(w.globs) == 0 {
		return f.rest, open(f.rest), nil
	}
	if modules := modulesOf(dir, w.globs); len(modules) > 0 && len(w.lines) == 0 {
		ws := open(append(modules, w.args...))
		if _, env, _ := ws.Apply(workspace.Update{}).Configure(); env != nil && discover.Unittest(env) {
			return f.rest, ws, nil // names of unittest's
		}
		ws.Close()
	}
	args := slices.Clone(f.rest)
	for k := len(at) - 1; k >= 0; k-- {
		args = slices.Delete(args, at[k], at[k]+1)
	}
	ws := open(append(slices.Clone(args), w.args...))
	suite, err := ws.Apply(workspace.Update{}).Suite()
	if err != nil {
		ws.Close()
		return nil, nil, err
	}
	items, err := w.filter(suite.Items)
	if err != nil {
		ws.Close()
		return nil, nil, err
	}
	return append(args, idsFor(items)...), ws, nil
}

// modulesOf returns the files or folders of words as python -m unittest takes
// them: dotted names that begin with a module in the folder, or discover.
func modulesOf(dir string, words []string) (paths []string) {
	for _, word := range words {
		path, found := dir, ""
		for part := range strings.SplitSeq(word, ".") {
			path = filepath.Join(path, part)
			if file.IsRegular(path + ".py") {
				found = path + ".py"
				break
			}
			if !file.IsDir(path) {
				break
			}
			found = path
		}
		if found == "" && word == "discover" {
			found = dir
		}
		if found != "" {
			paths = append(paths, found)
		}
	}
	return paths
}

// idsFor names items for pytest, a function once for all of its cases that are
// known at run time only.
func idsFor(items []*pytest.Item) []string {
	out := make([]string, 0, len(items))
	for _, it := range items {
		if n := len(out); n == 0 || out[n-1] != it.ID {
			out = append(out, it.ID)
		}
	}
	return out
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// asFile returns the file behind a stream, nil when there is none.
func asFile(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}
