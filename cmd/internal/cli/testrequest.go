package cli

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/verify"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// request is a run as flags ask for it, with WHERE resolved. The workspace is
// the caller's to close.
func (p *program) request(f testFlags) (r engine.Request, ws *workspace.Workspace, err error) {
	dir, state, err := p.place(f)
	if err != nil {
		return r, nil, err
	}
	vars := slices.Clone(p.vars)
	if f.profile != "" {
		var more []string
		if more, err = p.profile(&f, dir); err != nil {
			return r, nil, err
		}
		vars = append(vars, more...)
	}
	if err := p.bind(&f, dir, state); err != nil {
		return r, nil, err
	}
	args, ws, err := p.selection(f, dir, state)
	if err != nil {
		return r, nil, err
	}
	cfg, env, err := ws.Apply(workspace.Update{}).Configure()
	var ours *config.ToolError
	if p.call != nil && cfg != nil && unwelcome(cfg, f) {
		err = &client.Declined{}
	}
	var no *client.Declined
	if env == nil || errors.As(err, &ours) || errors.As(err, &no) { // any other error in the configuration is pytest's to tell
		ws.Close()
		return r, nil, err
	}
	r = engine.Request{Env: env, Dir: dir, Vars: vars, Args: args, State: ws.Apply(workspace.Update{}).StateDir(), FlakyFail: f.flakyFail}
	if cfg != nil {
		r.Config, r.Root, r.Terminal, r.Module = cfg, cfg.Root, cfg.Interactive, cfg.Tool.Module()
	}
	if err := f.apply(&r, cfg, p.env); err != nil {
		ws.Close()
		return r, nil, err
	}
	return r, ws, nil
}

// place is where a run is, and where its state is kept.
func (p *program) place(f testFlags) (dir, state string, err error) {
	dir, state = p.dir, p.stateDir(f.stateDir)
	if f.cold {
		state = ""
	}
	if f.root != "" {
		if dir = absolute(p.dir, f.root); !file.IsDir(dir) {
			return "", "", fmt.Errorf("--root %s: no such folder", f.root)
		}
	}
	return dir, state, nil
}

// profile adds a profile's arguments to the flags and returns its variables.
func (p *program) profile(f *testFlags, dir string) (vars []string, err error) {
	cfg, err := config.Load(config.Input{Dir: dir, Args: f.rest, AddOpts: p.env["PYTEST_ADDOPTS"]}, pytest.Newest)
	if err != nil {
		return nil, err
	}
	chosen, err := cfg.Tool.Chosen(f.profile, cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("--profile %s: %w", f.profile, err)
	}
	f.rest = append(slices.Clone(chosen.Args), f.rest...)
	for _, k := range slices.Sorted(maps.Keys(chosen.Env)) {
		vars = append(vars, k+"="+chosen.Env[k])
	}
	return vars, nil
}

// apply puts what the flags say of the run into the request.
func (f *testFlags) apply(r *engine.Request, cfg *config.Config, env map[string]string) (err error) {
	if err := verify.Workers(r, f.parallel, cfg, env, Version, f.exact); err != nil {
		return err
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
	if cfg == nil {
		return nil
	}
	more, err = cfg.Tool.FileVars(cfg.Root, func(name string) bool { _, set := env[name]; return set })
	r.Vars = append(r.Vars, more...)
	return err
}

// workspaceOf opens the workspace of a run.
func (p *program) workspaceOf(f *testFlags, args []string, dir, state string) *workspace.Workspace {
	return workspace.New(workspace.Settings{
		Dir: dir, Args: args, Python: p.python(f.python), Env: p.env, StateDir: state, StateNamed: f.stateDir != "" || f.cold,
	})
}

// selection turns WHERE into pytest's arguments: lines and patterns into the
// ids of the tests that are found there.
func (p *program) selection(f testFlags, dir, state string) ([]string, *workspace.Workspace, error) {
	open := func(args []string) *workspace.Workspace { return p.workspaceOf(&f, args, dir, state) }
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
	now := ws.Apply(workspace.Update{})
	if cfg, _, err := now.Configure(); err == nil && cfg.PyArgs && len(w.lines) == 0 {
		ws.Close()
		return f.rest, open(f.rest), nil // names of modules
	}
	suite, err := now.Suite()
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
