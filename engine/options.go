package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/pyworkers"
)

// optionsName is the file in a state folder of what Takes was told.
const optionsName = "options.json"

// maxOptions is how long pytest may take to say what options there are. It
// imports plugins and conftests.
const maxOptions = 30 * time.Second

// options is what the state folder keeps: true while no file has changed.
type options struct {
	Python string                   `json:"python"`
	Sites  map[string]file.Identity `json:"sites"`
	Files  map[string]file.Identity `json:"files"` // conftests, and what they import of the project
	Takes  map[string]string        `json:"takes"`
}

// Takes returns how many words behind them options take that conftests and
// plugins add, by pytest's own parser: a number, "?", "*" or "+". An option that
// pytest has not is missing. args are pytest's; the folders in them are where it
// looks for conftests before it parses.
func (r *Request) Takes(ctx context.Context, names, args []string) (map[string]string, error) {
	path := ""
	if r.State != "" {
		path = filepath.Join(r.State, optionsName)
		if o := keptOptions(path); o != nil && o.still(r, names) {
			return o.Takes, nil
		}
	}
	ctx, stop := context.WithTimeout(ctx, maxOptions)
	defer stop()
	bin := filepath.Dir(r.Env.Python)
	first := bin
	if r.Module {
		first = ""
	}
	asked, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, r.Env.Python, append([]string{"-c", pyworkers.Options, string(asked), first, filepath.Join(bin, "pytest")}, args...)...)
	cmd.Dir, cmd.Env = r.Dir, r.Vars
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("asking pytest for its options: %w", err)
	}
	var said struct {
		Takes map[string]string `json:"takes"`
		Files []string          `json:"files"`
	}
	if err := json.Unmarshal(b, &said); err != nil {
		return nil, fmt.Errorf("asking pytest for its options: %w", err)
	}
	if path != "" {
		o := options{r.Env.Python, identities(r.Env.Sites), identities(said.Files), said.Takes}
		if b, err := json.Marshal(o); err == nil && os.MkdirAll(r.State, 0o700) == nil && os.WriteFile(path+".new", b, 0o600) == nil {
			_ = os.Rename(path+".new", path) // without, pytest is asked again
		}
	}
	return said.Takes, nil
}

func keptOptions(path string) *options {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	o := &options{}
	if json.Unmarshal(b, o) != nil {
		return nil
	}
	return o
}

// still reports whether it answers for the names as pytest would now.
func (o *options) still(r *Request, names []string) bool {
	for _, name := range names {
		if o.Takes[name] == "" {
			return false
		}
	}
	if o.Python != r.Env.Python || len(o.Sites) != len(r.Env.Sites) {
		return false
	}
	for _, known := range []map[string]file.Identity{o.Sites, o.Files} {
		for path, id := range known {
			if now, _ := file.StatAny(path); now != id {
				return false
			}
		}
	}
	return true
}

func identities(paths []string) map[string]file.Identity {
	m := map[string]file.Identity{}
	for _, p := range paths {
		m[p], _ = file.StatAny(p)
	}
	return m
}
