// Package engine runs a project's tests: the one place where what is found
// statically, the worker processes and the sinks meet. The command line and
// the language server call the same Run.
package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Request is one run of tests.
type Request struct {
	Env   *pyenv.Env
	Dir   string   // working directory
	Vars  []string // environment, KEY=VALUE
	Args  []string // pytest's arguments, or unittest's where there is no pytest
	State string   // folder for state, "" for none
	Root  string   // of the ids where there is no pytest, which knows its own; "" for Dir

	Module   bool // as python -m pytest, with the working directory on sys.path
	Workers  int  // processes that run tests; 0 is 1
	Dist     run.Dist
	Terminal bool // tests may read the caller's terminal
	Texts    bool // results carry what pytest prints of a failure

	Stdin, Stdout, Stderr *os.File // nil: /dev/null
}

// NoPytestError says that the interpreter has no pytest, and an option that is
// pytest's, "" where nothing can do without.
type NoPytestError struct {
	Env    *pyenv.Env
	Option string
}

func (e *NoPytestError) Error() string {
	if e.Option != "" {
		return e.Option + " is no option of unittest's, and " + e.Env.NoPytest()
	}
	return e.Env.NoPytest()
}

// Check says why pytest cannot be run: there is no interpreter, or it has no
// pytest.
func (r *Request) Check() error {
	switch {
	case r.Env.Python == "":
		return pyenv.ErrNone
	case !r.Env.HasPytest:
		return &NoPytestError{Env: r.Env}
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
// files, results go to the sinks. Where the interpreter has no pytest, all that
// is unittest's.
//
// A nil Engine starts an interpreter for the run; another one has pytest
// imported, and what was collected for the last run where nothing of it has
// changed.
func (e *Engine) Run(ctx context.Context, r Request, sinks ...run.Sink) (status int, err error) {
	if r.Env.Python == "" {
		return 4, pyenv.ErrNone
	}
	bin := filepath.Dir(r.Env.Python)
	s := pool.Settings{
		Python: r.Env.Python, Sites: r.Env.Sites, Dir: r.Dir, Env: r.Vars, Args: r.PytestArgs(), Script: filepath.Join(bin, "pytest"), Path0: bin,
		CacheDir: r.State, Terminal: r.Terminal, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Text: r.Texts,
	}
	if discover.Unittest(r.Env) {
		if s.Unittest, err = r.unittest(); err != nil {
			return 4, err
		}
		s.Script = r.Env.Python
	}
	if r.Module || s.Unittest != nil {
		s.Path0 = r.Dir
	}
	session, err := e.open(ctx, s)
	if err != nil {
		return 3, err
	}
	defer e.close(session)
	if status, ended := session.Ended(); ended {
		return status, nil
	}
	o := session.Options()
	o.Version, o.Dist, o.Terminal = r.Env.Pytest.String(), r.Dist, r.Terminal
	if s.Unittest != nil {
		o.Version, o.Dist = r.Env.Version.String(), run.LoadGroup // a class's tests are a group
	}
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
