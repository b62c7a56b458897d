// Package cli is the command line: `dx-py-ls --cli COMMAND`, or the binary
// called as `dx-py`. Without --cli the binary is the language server.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/cmd/internal/early"
	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/daemon"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// Version is the version of the program.
const Version = "0.1.0"

// Exit statuses, as pytest's where it has one.
const (
	exitOK          = 0
	exitProblems    = 1
	exitInterrupted = 2
	exitInternal    = 3
	exitUsage       = 4
	exitNoTests     = 5
)

// program is one invocation.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	dir            string
	vars           []string // the environment, KEY=VALUE
	env            map[string]string
	status         int
	engine         *engine.Engine  // nil: each run has an interpreter of its own
	call           *daemon.Call    // nil: the program is the user's own process
	ctx            context.Context // nil: until a signal comes
	timings        *timings        // nil: not asked for
}

// Main runs the program and returns its exit status.
func Main(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, vars: os.Environ()}
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(stderr, "error: the working directory cannot be read: %v\n", err)
		return exitUsage
	}
	p.dir = dir
	args, cli := early.Command(argv)
	if cli {
		if status, done := p.attach(args); done {
			return status
		}
	}
	p.env = environment(p.vars)
	if !cli {
		return p.serve(args)
	}
	status, _ := p.command(early.Name(argv[0]), args)
	return status
}

// command runs a command of the command line; in the resident process its
// error may be what the client has to do itself.
func (p *program) command(name string, args []string) (int, error) {
	root := p.root(name)
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.Execute()
	var no *client.Declined
	switch {
	case errors.As(err, &no):
		return exitInternal, err
	case err != nil:
		return p.fail(err), nil
	}
	return p.status, nil
}

// context is what ends when the user interrupts; call stop when done.
func (p *program) context() (ctx context.Context, stop context.CancelFunc) {
	if p.ctx != nil {
		return context.WithCancel(p.ctx)
	}
	return signal.NotifyContext(context.Background(), client.Ends()...)
}

// hurry returns what is closed when the user interrupts for the second time.
// The process ends a while later, whatever it waits for. Call stop when done.
func (p *program) hurry() (kill <-chan struct{}, stop func()) {
	signals, over, second := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, client.Ends()...)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-over:
				return
			}
		}
		close(second)
		select {
		case <-time.After(client.Overdue):
			os.Exit(exitInterrupted)
		case <-over:
		}
	}()
	return second, func() {
		signal.Stop(signals)
		close(over)
	}
}

func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env
}

// fail prints an error and returns the exit status that stands for it.
func (p *program) fail(err error) int {
	var usage *config.UsageError
	var tool *config.ToolError
	switch {
	case errors.As(err, &tool):
		fmt.Fprintf(p.stderr, "error: %v\n", err)
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "ERROR: %s\n", usage.Message)
	case errors.Is(err, pyenv.ErrNone):
		fmt.Fprintf(p.stderr, "error: %v\nName a Python 3.8 or newer with --python, or make a virtual environment in .venv.\n", err)
	default:
		fmt.Fprintf(p.stderr, "error: %v\nSee --help.\n", err)
	}
	return exitUsage
}

const serverHelp = `dx-py-ls is a language server and test engine for Python.

  dx-py-ls [--stdio]        the language server, on standard input and output
  dx-py-ls --cli COMMAND    the command line; dx-py-ls --cli --help lists the commands
  dx-py-ls --version

Called as dx-py it is the command line without --cli.
`

func (p *program) root(name string) *cobra.Command {
	use := "dx-py-ls --cli"
	if name == "dx-py" {
		use = "dx-py"
	}
	root := &cobra.Command{
		Use:           use,
		Short:         "Tests of Python projects, found and run fast, with pytest's own answers",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version,
	}
	root.AddCommand(
		p.testCommand(use), p.pytestCommand(), p.discoverCommand(use), p.verifyCommand(use), p.doctorCommand(use), p.daemonCommand(),
		p.cacheCommand(), p.affectedCommand(use), p.explainCommand(use), p.graphCommand(use),
	)
	for _, c := range root.Commands() {
		if c.DisableFlagParsing { // its own text lists the flags
			c.DisableFlagsInUseLine = true
			c.SetUsageTemplate(ownFlags)
		}
	}
	return root
}

// ownFlags is cobra's template without the list of flags.
const ownFlags = `Usage:
  {{.UseLine}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}
`

// stateDir returns where the state lives: what the user named, else the
// user's cache folder; "" when there is none.
func (p *program) stateDir(named string) string {
	switch {
	case named != "":
		return absolute(p.dir, named)
	case p.env["DX_PY_STATE_DIR"] != "":
		return absolute(p.dir, p.env["DX_PY_STATE_DIR"])
	}
	cache := userCache(p.env)
	if cache == "" {
		return ""
	}
	return filepath.Join(cache, "dx-py")
}

// userCache is os.UserCacheDir of an environment that need not be the
// process's.
func userCache(env map[string]string) string {
	switch {
	case runtime.GOOS != "linux":
		cache, _ := os.UserCacheDir()
		return cache
	case filepath.IsAbs(env["XDG_CACHE_HOME"]):
		return env["XDG_CACHE_HOME"]
	case env["HOME"] != "":
		return filepath.Join(env["HOME"], ".cache")
	}
	return ""
}

func absolute(dir, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(dir, p)
}
