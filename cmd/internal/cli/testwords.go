package cli

import (
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// bind ties the words to their options that stand behind options of conftests
// and plugins: `--level 2` asks for no test named 2. Only pytest knows how many
// words one takes, and is asked where it matters. Where it takes more than
// one, or says that the command line is wrong, all is left to it.
func (p *program) bind(f *testFlags, dir, state string) error {
	at, options, err := config.Positional(f.rest)
	if err != nil || f.exact {
		return nil // pytest says what is wrong
	}
	var names []string
	for _, i := range at {
		if i > 0 && slices.Contains(options.Unknown, f.rest[i-1]) && !strings.Contains(f.rest[i-1], "=") {
			names = append(names, f.rest[i-1])
		}
	}
	if len(names) == 0 {
		return nil
	}
	ws := p.workspaceOf(f, f.rest, dir, state)
	defer ws.Close()
	snapshot := ws.Apply(workspace.Update{})
	cfg, env, _ := snapshot.Configure() // an error in the configuration is pytest's to tell
	if env == nil || env.Python == "" || discover.Unittest(env) {
		return nil
	}
	r := engine.Request{Env: env, Dir: dir, Vars: p.vars, State: snapshot.StateDir(), Module: cfg != nil && cfg.Tool.Module()}
	args := slices.Clone(f.rest)
	for _, i := range at {
		if path, _, ok := cutLast(args[i], ':'); ok && file.IsRegular(absolute(dir, path)) {
			args[i] = path // where its conftests are
		}
	}
	ctx, stop := p.context()
	defer stop()
	takes, err := r.Takes(ctx, names, args)
	if err != nil {
		f.exact = true
		return ctx.Err()
	}
	for k := len(at) - 1; k >= 0; k-- {
		i := at[k]
		if i == 0 || !slices.Contains(names, f.rest[i-1]) {
			continue
		}
		switch option := f.rest[i-1]; takes[option] {
		case "0":
		case "1", "?":
			equals := "="
			if !strings.HasPrefix(option, "--") {
				equals = ""
			}
			f.rest = slices.Replace(slices.Clone(f.rest), i-1, i+1, option+equals+f.rest[i])
		default:
			f.exact = true
		}
	}
	return nil
}
