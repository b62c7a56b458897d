package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

func (p *program) cacheCommand() *cobra.Command {
	var named string
	c := &cobra.Command{
		Use:   "cache [stats|dir|clear]",
		Short: "Size, place and removal of the stored state",
		Long: `What is stored makes the next start faster, and nothing else: it can be removed
at any time.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.cacheStats(named) },
	}
	c.PersistentFlags().StringVar(&named, "state-dir", "", "the state in `DIR` (default: in the user's cache folder)")
	for _, sub := range []struct {
		name, short string
		do          func(string) error
	}{
		{"stats", "How much is stored", p.cacheStats},
		{"dir", "Where", p.cacheDir},
		{"clear", "Remove it", p.cacheClear},
	} {
		c.AddCommand(&cobra.Command{Use: sub.name, Short: sub.short, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return sub.do(named) }})
	}
	return c
}

// stored are the entries of the state folder that are ours; somebody may have
// named a folder that holds other things too.
func (p *program) stored(named string) (dir string, projects, others []string, err error) {
	dir = p.stateDir(named)
	if named == "" { // the project may have a place of its own
		ws := workspace.New(workspace.Settings{Dir: p.dir, Env: p.env, StateDir: dir})
		dir = ws.Apply(workspace.Update{}).StateDir()
		ws.Close()
	}
	if dir == "" {
		return "", nil, nil, errors.New("there is no place for state: neither HOME nor XDG_CACHE_HOME is set; name one with --state-dir")
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil, fmt.Errorf("reading the state folder: %w", err)
	}
	for _, e := range entries {
		switch name := filepath.Join(dir, e.Name()); {
		case e.IsDir() && workspace.IsState(e.Name()):
			projects = append(projects, name)
		case e.IsDir() && e.Name() == pool.CompiledFolder, e.Name() == logName:
			others = append(others, name)
		}
	}
	return dir, projects, others, nil
}

func (p *program) cacheDir(named string) error {
	dir, _, _, err := p.stored(named)
	if err == nil {
		_, err = fmt.Fprintln(p.stdout, dir)
	}
	return err
}

func (p *program) cacheStats(named string) error {
	dir, projects, others, err := p.stored(named)
	if err != nil {
		return err
	}
	files, bytes := 0, int64(0)
	for _, top := range append(projects, others...) {
		// What goes away meanwhile is not counted.
		_ = filepath.WalkDir(top, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if st, err := d.Info(); err == nil {
				files++
				bytes += st.Size()
			}
			return nil
		})
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %s, %s, %.1f MB\n", dir, plural(len(projects), "project"), plural(files, "file"), float64(bytes)/1e6)
	return err
}

func (p *program) cacheClear(named string) error {
	_, projects, others, err := p.stored(named)
	if err != nil {
		return err
	}
	for _, top := range append(projects, others...) {
		if err := os.RemoveAll(top); err != nil {
			return fmt.Errorf("removing stored state: %w", err)
		}
	}
	_, err = fmt.Fprintf(p.stdout, "removed what was stored of %s\n", plural(len(projects), "project"))
	return err
}
