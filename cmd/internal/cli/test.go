package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/report"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// testFlags are the flags of test that are ours; all others are pytest's.
type testFlags struct {
	python, stateDir, root, format string
	workers, dist                  string
	help                           bool
	watch                          bool     // run again when something changes
	repeat                         bool     // hidden: each line of standard input is a run's further arguments
	exact                          bool     // rest is pytest's whole command line: no WHERE of ours in it
	rest                           []string // for pytest
}

func (p *program) testCommand(use string) *cobra.Command {
	return &cobra.Command{
		Use:   "test [WHERE...] [flags and pytest's options]",
		Short: "Run tests with the project's own pytest",
		Long: `Run tests with the project's own pytest, in a warm worker process: same
outcomes, same output, same exit status.

WHERE is a file or folder, a node id, PATH:LINE for the test there, or a
pattern with * and ? for the names of functions and classes or for whole ids.
Every option that is not listed below is pytest's.

Flags:
  -n N                   run on N workers; auto is one for each processor
      --dist MODE        how tests are given to them, as pytest-xdist: load,
                         loadscope, loadfile, loadgroup, worksteal
      --format FORMAT    text, or jsonl: one JSON object a line (default text)
      --python PATH      the interpreter, or its virtual environment
      --watch            run, then again on each change; keys: a (all),
                         f (failed), p (pattern), Enter (again), q (quit)
  -r, --root DIR         run in DIR instead of the working directory
      --state-dir DIR    keep state in DIR (default: the user's cache folder)
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
		f.repeat = f.repeat || a == "--repeat-stdin"
		f.watch = f.watch || a == "--watch"
	}
	f.rest, err = take(args, map[string]*string{
		"--python": &f.python, "--state-dir": &f.stateDir, "--root": &f.root, "--format": &f.format,
		"-n": &f.workers, "--numprocesses": &f.workers, "--dist": &f.dist,
	})
	f.rest = slices.DeleteFunc(f.rest, func(a string) bool { return a == "--repeat-stdin" || a == "--watch" })
	if err == nil && !slices.Contains([]string{"text", "jsonl"}, f.format) {
		err = fmt.Errorf("--format %s: there are text and jsonl", f.format)
	}
	return f, err
}

// parsePytestFlags takes only what is ours to do of pytest's own command line.
func parsePytestFlags(args []string) (testFlags, error) {
	f := testFlags{format: "text", exact: true}
	var err error
	f.rest, err = take(args, map[string]*string{"-n": &f.workers, "--numprocesses": &f.workers, "--dist": &f.dist})
	return f, err
}

// take moves the values of options out of a command line, up to "--", and
// returns the rest.
func take(args []string, values map[string]*string) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(rest, args[i:]...), nil
		}
		name, value, eq := strings.Cut(a, "=")
		if v, ok := strings.CutPrefix(a, "-n"); ok && (v == "auto" || v == "logical" || isDigits(v)) {
			name, value, eq = "-n", v, true
		}
		switch to := values[name]; {
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

// count is the number of workers that -n asks for.
func (f *testFlags) count() (int, error) {
	switch f.workers {
	case "", "0":
		return 1, nil
	case "auto", "logical":
		return runtime.NumCPU(), nil
	}
	n, err := strconv.ParseUint(f.workers, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("-n %s: there are a number and auto", f.workers)
	}
	return int(n), nil
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
	if f.root != "" {
		if dir = absolute(p.dir, f.root); !file.IsDir(dir) {
			return r, nil, fmt.Errorf("--root %s: no such folder", f.root)
		}
	}
	args, ws, err := p.selection(f, dir)
	if err != nil {
		return r, nil, err
	}
	cfg, env, err := ws.Apply(workspace.Update{}).Configure()
	if env == nil { // without one; an error in the configuration is pytest's to tell
		ws.Close()
		return r, nil, err
	}
	return engine.Request{
		Env: env, Dir: dir, Vars: os.Environ(), Args: args, State: p.stateDir(f.stateDir), Terminal: cfg != nil && cfg.Interactive,
	}, ws, nil
}

func (p *program) test(f testFlags) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return p.execute(ctx, f)
}

// execute makes one run. Its exit status is the program's.
func (p *program) execute(ctx context.Context, f testFlags, sinks ...run.Sink) error {
	workers, err := f.count()
	if err != nil {
		return err
	}
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	defer ws.Close()
	r.Workers, r.Dist, r.Stderr = workers, run.Dist(f.dist), asFile(p.stderr)
	var lines *report.JSONL
	var footer report.Footer
	switch f.format {
	case "jsonl":
		lines = report.NewJSONL(p.stdout)
		sinks, r.Texts, r.Terminal = append(sinks, lines), true, false
	default:
		r.Stdout, r.Stdin = asFile(p.stdout), asFile(p.stdin)
		r.Terminal = r.Terminal && r.Stdin != nil
		sinks = append(sinks, &footer)
	}
	p.status, err = p.engine.Run(ctx, r, sinks...)
	if lines != nil && err == nil {
		err = lines.Err
	}
	if line := footer.Line(); line != "" && isTerminal(r.Stdout) {
		dim, reset := "", ""
		if p.color() {
			dim, reset = "\x1b[2m", "\x1b[0m"
		}
		fmt.Fprintf(p.stdout, "%s · %s%s\n", dim, line, reset)
	}
	var none *engine.NoPytestError
	if err != nil && !errors.As(err, &none) && !errors.Is(err, pyenv.ErrNone) {
		fmt.Fprintf(p.stderr, "error: %v\n", err)
		err = nil
	}
	return err
}

// selection turns WHERE into pytest's arguments: lines and patterns into the
// ids of the tests that are found there.
func (p *program) selection(f testFlags, dir string) ([]string, *workspace.Workspace, error) {
	open := func(args []string) *workspace.Workspace {
		return workspace.New(workspace.Settings{
			Dir: dir, Args: args, Python: p.python(f.python), Env: p.env, StateDir: p.stateDir(f.stateDir),
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
