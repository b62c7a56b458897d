package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
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
      --profile-out F    write it, and when each test ran, in Chrome's trace
                         format, for chrome://tracing or Perfetto
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
func (p *program) testOnce(f testFlags, sinks ...run.Sink) (err error) {
	p.timings = p.newTimings(f)
	defer func() {
		if e := p.timings.end(p); err == nil {
			err = e
		}
	}()
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
			return &client.Declined{} // it is the caller's terminal, and its process group
		}
		e, r.Kill = p.call.Engine(cmp.Or(r.Root, r.Dir)), p.call.Kill
		p.call.Begin()
	}
	unchanged, again := 0, engine.Outcomes(nil)
	if f.affected {
		e.Settle()
		quiet, known, still := p.quiet(f, &r)
		if still {
			p.timings.mark("selection")
			return p.nothingDue(f, known)
		}
		d, err := p.affectedOnly(ws, &r, &f)
		if err != nil {
			return err
		}
		if unchanged = len(d.Items) - d.Count(); len(d.Files) == 0 && !d.Others {
			p.timings.mark("selection")
			if quiet != nil {
				_ = quiet.Keep(unchanged) // else it is found out again
			}
			return p.nothingDue(f, unchanged)
		}
		if d.ByFunctions && !f.unobserved {
			again = engine.Outcomes{}
			sinks = append(sinks, again)
		}
	}
	p.timings.mark("selection")
	ctx, stop := p.context()
	defer stop()
	if p.ctx == nil {
		kill, stop := p.hurry()
		defer stop()
		r.Kill = kill
	}
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
	problems := report.Problems{Out: p.stderr}
	switch f.format {
	case "jsonl":
		out := p.stdout
		if p.call != nil {
			out = p.call.Output()
		}
		lines = report.NewJSONL(out)
		sinks, r.Texts, r.Terminal = append(sinks, lines), true, false
	default:
		r.Stdout, r.Stdin = asFile(p.stdout), asFile(p.stdin)
		if discover.Unittest(r.Env) && r.Workers <= 1 && isTerminal(r.Stdin) {
			r.Terminal = true // unittest captures nothing: breakpoint() works
		}
		r.Terminal = r.Terminal && r.Stdin != nil
		sinks = append(sinks, &footer, &problems)
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
	if f.affected && p.status == exitNoTests && unchanged > 0 {
		p.status = exitOK // as when nothing is due: what was is none that pytest runs
	}
	p.footer(&footer, r.Stdout)
	if f.affected && f.format == "text" && err == nil {
		fmt.Fprintln(p.stdout, unchangedLine(footer.Ran(), unchanged, f.since))
	}
	p.timings.render()
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
		if !problems.Told(err) {
			fmt.Fprintf(p.stderr, "error: %v\n", err)
		}
		err = nil
	}
	if again != nil && err == nil && ctx.Err() == nil {
		e.ObserveAgain(ctx, r, again)
	}
	return err
}
