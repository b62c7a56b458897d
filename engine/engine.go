// Package engine runs a project's tests: the one place where what is found
// statically, the worker processes and the sinks meet. The command line and
// the language server call the same Run.
package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Request is one run of tests.
type Request struct {
	Env   *pyenv.Env
	Dir   string   // working directory
	Vars  []string // environment, KEY=VALUE
	Args  []string // pytest's arguments
	State string   // folder for state, "" for none

	Module   bool // as python -m pytest, with the working directory on sys.path
	Workers  int  // processes that run tests; 0 is 1
	Dist     run.Dist
	Terminal bool // tests may read the caller's terminal
	Texts    bool // results carry what pytest prints of a failure

	Stdin, Stdout, Stderr *os.File // nil: /dev/null

	// Refused is called with what pytest printed when it ended before it would
	// run a test. nil for nobody; only an Engine that is not nil calls it.
	Refused func(printed string)
}

// NoPytestError says that the interpreter has no pytest.
type NoPytestError struct{ Python string }

func (e *NoPytestError) Error() string {
	return fmt.Sprintf("%s has no pytest; install it with: %s -m pip install pytest", e.Python, e.Python)
}

// Check says why nothing can be run: there is no interpreter, or it has no
// pytest.
func (r *Request) Check() error {
	switch {
	case r.Env.Python == "":
		return pyenv.ErrNone
	case !r.Env.HasPytest:
		return &NoPytestError{r.Env.Python}
	}
	return nil
}

// Engine keeps processes between runs. The zero Engine is ready; close it when
// done.
type Engine struct{ pool pool.Pool }

// Close ends all processes.
func (e *Engine) Close() { e.pool.Close() }

// Run runs the tests that pytest would run for the request's arguments and
// returns pytest's exit status. What pytest prints goes to the request's
// files, results go to the sinks.
//
// A nil Engine starts an interpreter for the run; another one has pytest
// imported, and what was collected for the last run where nothing of it has
// changed.
func (e *Engine) Run(ctx context.Context, r Request, sinks ...run.Sink) (status int, err error) {
	if err := r.Check(); err != nil {
		return 4, err
	}
	bin := filepath.Dir(r.Env.Python)
	s := pool.Settings{
		Python: r.Env.Python, Sites: r.Env.Sites, Dir: r.Dir, Env: r.Vars, Args: r.PytestArgs(), Script: filepath.Join(bin, "pytest"), Path0: bin,
		CacheDir: r.State, Terminal: r.Terminal, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Text: r.Texts,
	}
	if r.Module {
		s.Path0 = r.Dir
	}
	session, err := e.open(ctx, s)
	if err != nil {
		return 3, err
	}
	defer e.close(session)
	if status, ended := session.Ended(); ended {
		if r.Refused != nil {
			r.Refused(session.Printed())
		}
		return status, nil
	}
	o := session.Options()
	o.Version, o.Dist, o.Terminal = r.Env.Pytest.String(), r.Dist, r.Terminal
	if r.Workers > 1 {
		if why := session.Alone(); why != "" {
			o.Reason = "one worker: " + why
		} else {
			o.Workers = r.Workers
		}
	}
	return run.Run(ctx, session, o, sinks...)
}

func (e *Engine) open(ctx context.Context, s pool.Settings) (*pool.Session, error) {
	if e == nil || s.Terminal {
		return pool.Open(ctx, s)
	}
	return e.pool.Session(ctx, s)
}

func (e *Engine) close(s *pool.Session) {
	if e == nil {
		s.Close()
		return
	}
	e.pool.Release(s)
}

// PytestArgs are the arguments for pytest: with xdist, where it is installed, told not to
// distribute: that is ours to do, and its workers would leave us no items.
func (r *Request) PytestArgs() []string {
	if !slices.ContainsFunc(r.Env.Plugins, func(p pyenv.Plugin) bool { return p.Name == "xdist" }) {
		return r.Args
	}
	at := slices.Index(r.Args, "--")
	if at < 0 {
		at = len(r.Args)
	}
	return slices.Concat(r.Args[:at], []string{"-n0", "--dist=no"}, r.Args[at:])
}
