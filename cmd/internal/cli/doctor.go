package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/cmd/internal/early"
	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/verify"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

func (p *program) doctorCommand(use string) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [WHERE...] [flags and pytest's options]",
		Short: "Say how the tests would be run, and what stands in the way",
		Long: `Say which interpreter, pytest and plugins are used, collect the tests, and say
in which mode they run and why, whether several workers can run them, whether
they stay warm between runs; what the platform gives; where state is kept, and
what the resident process has done.

Flags:
      --bundle FILE      write it to FILE, with what is installed: for a report
      --python PATH      the interpreter, or its virtual environment
  -r, --root DIR         look in DIR instead of the working directory
      --state-dir DIR    state is in DIR (default: the user's cache folder)

Exit status: 0, 1 when something stands in the way of running tests.`,
		Example:            "  " + use + " doctor\n  " + use + " doctor --bundle report.txt",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var bundle string
			args, err := take(args, map[string]*string{"--bundle": &bundle}, nil)
			if err != nil {
				return err
			}
			return p.withTestFlags(func(f testFlags) error { return p.doctor(f, bundle) })(cmd, args)
		},
	}
}

// page writes what doctor says: a name and its value a line.
type page struct {
	out io.Writer
	bad bool
}

func (d *page) line(name, format string, args ...any) {
	fmt.Fprintf(d.out, "%-12s %s\n", name, fmt.Sprintf(format, args...))
}

// trouble is a line that stands in the way.
func (d *page) trouble(name, format string, args ...any) {
	d.bad = true
	d.line(name, "! "+format, args...)
}

func (p *program) doctor(f testFlags, bundle string) error {
	out := p.stdout
	if bundle != "" {
		file, err := os.Create(absolute(p.dir, bundle))
		if err != nil {
			return err
		}
		defer file.Close()
		out = io.MultiWriter(p.stdout, file)
	}
	d := &page{out: out}
	d.line("dx-py", "%s, %s %s/%s", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	defer ws.Close()
	cfg, _, cfgErr := ws.Apply(workspace.Update{}).Configure()
	if r.Env.Python == "" {
		d.trouble("python", "none found; tried %s", strings.Join(r.Env.Tried, ", "))
	} else {
		d.line("python", "%s at %s", r.Env.Version, r.Env.Python)
	}
	switch {
	case r.Env.HasPytest:
		d.line("pytest", "%s", r.Env.Pytest)
	case r.Env.Python != "":
		d.trouble("pytest", "not installed; %s -m pip install pytest", r.Env.Python)
	}
	var plugins []string
	for _, x := range r.Env.Plugins {
		plugins = append(plugins, x.Dist+" "+r.Env.Dists[x.Dist])
	}
	slices.Sort(plugins)
	d.line("plugins", "%s", orNone(strings.Join(slices.Compact(plugins), ", ")))
	if cfgErr != nil {
		d.trouble("settings", "%v", cfgErr)
	} else {
		d.line("rootdir", "%s", cfg.Root)
		d.line("settings", "%s", orNone(cfg.IniPath))
	}
	if r.Check() == nil && cfgErr == nil {
		p.session(d, r)
	}
	p.platform(d)
	p.state(d, r)
	p.resident(d, r, f)
	if bundle != "" {
		for _, name := range slices.Sorted(maps.Keys(r.Env.Dists)) {
			fmt.Fprintf(out, "installed    %s %s\n", name, r.Env.Dists[name])
		}
	}
	if d.bad {
		p.status = exitProblems
	}
	return nil
}

// session collects and says how the tests would be run.
func (p *program) session(d *page, r engine.Request) {
	ctx, stop := p.context()
	defer stop()
	e := &engine.Engine{}
	defer e.Close()
	began := time.Now()
	x, err := e.Inspect(ctx, r)
	took := time.Since(began)
	switch {
	case err != nil:
		d.trouble("tests", "%v", err)
		return
	case x.Ended:
		d.trouble("tests", "pytest ends with exit status %d before it runs any:\n%s", x.Status, x.Output)
		return
	}
	d.line("tests", "%d, collected in %.2fs", x.Tests, took.Seconds())
	if x.Reason == "" {
		d.line("mode", "%s", x.Mode)
	} else {
		d.line("mode", "%s: %s", x.Mode, x.Reason)
	}
	for _, hook := range slices.Sorted(maps.Keys(x.Hooks)) {
		d.line("", "%s is called for each test: %s", hook, strings.Join(x.Hooks[hook], ", "))
	}
	p.workers(d, r, x)
	if x.Kept == "" {
		d.line("warm", "what is collected serves the next run, until a file it read changes")
	} else {
		d.line("warm", "each run collects anew: %s", x.Kept)
	}
	if v, ok := verify.Kept(r, Version); ok {
		d.line("verified", "%s", v.Line())
	} else {
		d.line("verified", "not yet, or not since pytest, a plugin or dx-py changed: dx-py verify")
	}
}

func (p *program) workers(d *page, r engine.Request, x pool.Inspection) {
	switch {
	case x.Alone != "":
		d.line("workers", "1: %s", x.Alone)
	case r.Workers > 1:
		d.line("workers", "%d", r.Workers)
	default:
		d.line("workers", "1; -n auto would be %d", verify.Processors(p.env))
	}
	if x.Alone == "" && x.Apart != "" {
		d.line("", "several would each collect for themselves: %s", x.Apart)
	}
}

// platform says what this machine gives.
func (p *program) platform(d *page) {
	if !pool.Supported {
		d.trouble("platform", "tests are run on Linux only so far; pytest runs them here")
		return
	}
	memory, err := pool.SharedMemory()
	if err != nil {
		d.trouble("platform", "%v", err)
		return
	}
	d.line("platform", "%d processors; shared memory by %s, workers by fork", runtime.NumCPU(), memory)
}

// state says what is kept where.
func (p *program) state(d *page, r engine.Request) {
	switch {
	case r.State == "":
		d.line("state", "none is kept")
	case r.Root == "":
		d.line("state", "%s", r.State)
	default:
		folder := workspace.StateFolder(r.State, r.Root)
		d.line("state", "%s, %.1f MB", folder, float64(size(folder))/1e6)
	}
}

// resident says which process runs the tests of such command lines, or why
// each runs its own.
func (p *program) resident(d *page, r engine.Request, f testFlags) {
	place, err := client.Find(p.getenv)
	var s daemon.Status
	if err == nil {
		s, err = daemon.Ask(place)
	}
	switch {
	case early.Off(p.getenv):
		d.line("resident", "off: DX_PY_NO_DAEMON is set")
	case p.env["CI"] != "" && !f.daemon:
		d.line("resident", "off: CI is set")
	case r.Config != nil && unwelcome(r.Config, f):
		d.line("resident", "off: the configuration says so")
	case errors.Is(err, client.ErrNone):
		d.line("resident", "none runs; the next test run starts one")
	case err != nil:
		d.line("resident", "none: %v", err)
	default:
		d.line("resident", "process %d, for %s, %s (%d now), %s", s.PID, time.Since(s.Started).Round(time.Second), plural(s.Calls, "run"), s.Running, plural(s.Editors, "editor"))
		if !slices.Contains(s.Roots, cmp.Or(r.Root, r.Dir)) {
			d.line("", "it has run nothing of this project")
		}
	}
}

// size is the number of bytes in a folder's files.
func size(folder string) (n int64) {
	_ = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
