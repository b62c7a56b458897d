package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dx-py/dx-py-ls/cmd/internal/early"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// idleTime is how long a resident process stays when nobody calls (cli.md,
// "Daemon").
const idleTime = 30 * time.Minute

// patience is how long a client tries to start or find a resident process,
// which takes 20 ms, while others start theirs or one ends.
const patience = 2 * time.Second

// unwelcome reports whether a project's configuration is against a resident
// process, and nobody has asked for one.
func unwelcome(cfg *config.Config, f testFlags) bool { return cfg.Tool.Daemon == false && !f.daemon }

// refuses is unwelcome for a command line, before a resident process is started
// for it. What is wrong with either is told later.
func (p *program) refuses(args []string) bool {
	parse := func() (testFlags, error) { return parseTestFlags(p.dir, args[1:]) }
	if args[0] == "pytest" {
		parse = func() (testFlags, error) { return parsePytestFlags(args[1:]) }
	}
	f, err := parse()
	if err != nil {
		return false
	}
	cfg, err := config.Load(config.Input{Dir: absolute(p.dir, f.root), Args: f.rest, AddOpts: os.Getenv("PYTEST_ADDOPTS")}, pytest.Newest)
	return err == nil && unwelcome(cfg, f)
}

// attach has the resident process do the command, and starts one where there
// is none. It is done when the command needs not be run here.
func (p *program) attach(args []string) (status int, done bool) {
	if !early.Wanted(args, os.Getenv) {
		return 0, false
	}
	place, err := client.Find(os.Getenv)
	if err != nil {
		return 0, p.here(err)
	}
	r := client.Request{Argv: args, Vars: p.vars, Dir: p.dir, Began: client.Entered(), Asked: client.Now()}
	for i, s := range []any{p.stdin, p.stdout, p.stderr} {
		r.Files[i] = asFile(s)
	}
	for until := r.Asked + int64(patience); ; {
		status, err := early.Attach(place, r, p.stderr)
		switch {
		case err == nil:
			return status, true
		case (errors.Is(err, client.ErrNone) || errors.Is(err, client.ErrReplaced)) && client.Now() < until:
			if p.refuses(args) {
				return 0, false
			}
			if err := p.start(place); err != nil {
				return 0, p.here(err)
			}
		default:
			return 0, p.here(err)
		}
	}
}

// here says why the command is run in this process.
func (p *program) here(err error) bool {
	var no *client.Declined
	switch {
	case !errors.As(err, &no):
		fmt.Fprintf(p.stderr, "dx-py: %v; this run is cold\n", err)
	case no.Reason != "":
		fmt.Fprintf(p.stderr, "dx-py: %s; this run is cold\n", no.Reason)
	}
	return false
}

// start starts the resident process.
func (p *program) start(place client.Place) error {
	p.env = environment(p.vars)
	log, err := p.log()
	if err != nil {
		return err
	}
	defer log.Close()
	ours, err := daemon.Start(place, []string{"dx-py", "daemon", "serve"}, append(slices.Clone(p.vars), "DX_PY_RUNTIME_DIR="+place.Dir), log)
	switch {
	case err != nil:
		return err
	case ours:
		fmt.Fprintln(p.stderr, "dx-py: started a resident process; `dx-py daemon stop` ends it")
	default: // another start was faster, or the last process is ending
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// The resident process's log, in the state folder, and how large it may be when
// one starts.
const (
	logName = "daemon.log"
	maxLog  = 1 << 20
)

// log opens the resident process's log in the state folder.
func (p *program) log() (*os.File, error) {
	dir := p.stateDir("")
	if dir == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	name := filepath.Join(dir, logName)
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if st, err := os.Stat(name); err == nil && st.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(name, flags, 0o600)
}

// answer is the resident process's handler: the command, with the caller's
// files and surroundings.
func answer(ctx context.Context, c *daemon.Call) (int, string, error) {
	p := &program{
		stdin: c.Files[0], stdout: c.Files[1], stderr: c.Files[2], dir: c.Dir, vars: c.Vars, env: environment(c.Vars), call: c, ctx: ctx,
	}
	status, err := p.command("dx-py", c.Argv)
	return status, p.timings.notes(), err
}
