// Package workspace holds what is known of a project: unsaved buffers, files,
// settings. Everything that can change an answer enters by Apply; what comes
// out is an immutable Snapshot.
package workspace

import (
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Settings say where and how to look. The zero value is good for a Dir.
type Settings struct {
	Dir      string            // working directory, absolute
	Args     []string          // pytest's command line
	Python   string            // interpreter that the user named
	Env      map[string]string // the environment of the session
	StateDir string            // where the index lives; "" for none
	// StateNamed says that the user named the StateDir, or that there is to be
	// none: [tool.dx-py] state_dir does not count.
	StateNamed bool
	Verify     bool // hash every file instead of trusting its stat data
}

// Update is one change to a Workspace.
type Update struct {
	Files    []file.Change
	Settings *Settings // nil: as they are
	Disk     bool      // files on disk may have changed
}

// Workspace is safe for concurrent use. Close it.
type Workspace struct {
	mu       sync.Mutex
	settings Settings
	overlays map[string]*overlay
	current  *Snapshot
	disk     *Snapshot // without buffers
	cache    *cache    // of a process that stays
	conf     *configured
}

// New returns a Workspace without buffers.
func New(s Settings) *Workspace {
	return &Workspace{settings: s, overlays: map[string]*overlay{}, cache: newCache()}
}

// Apply takes a change in and returns the Snapshot behind it: the same
// pointer when nothing changed.
func (w *Workspace) Apply(u Update) *Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.current == nil || u.Disk
	if u.Settings != nil {
		w.settings = *u.Settings
		changed = true
	}
	if len(u.Files) > 0 {
		next := make(map[string]*overlay, len(w.overlays)+1)
		for p, o := range w.overlays {
			next[p] = o
		}
		for _, c := range u.Files {
			changed = change(next, c, w.cache) || changed
			if c.Text == nil {
				w.disk = nil
			}
		}
		w.overlays = next
	}
	if w.conf == nil || u.Disk || u.Settings != nil {
		w.conf, w.disk = &configured{}, nil
	}
	if changed {
		next := &Snapshot{settings: w.settings, overlays: w.overlays, cache: w.cache, conf: w.conf}
		if !u.Disk && u.Settings == nil {
			next.follow(w.current, u.Files)
		}
		w.current = next
	}
	return w.current
}

// Disk returns the Snapshot without the buffers: what a run would see. Its
// list of tests is remembered across keystrokes.
func (w *Workspace) Disk() *Snapshot {
	w.Apply(Update{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.disk == nil {
		w.disk = &Snapshot{settings: w.settings, cache: w.cache, conf: w.conf}
	}
	return w.disk
}

// Close frees the trees of open buffers.
func (w *Workspace) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.overlays {
		o.buffer.close()
	}
	w.overlays = nil
}

// Snapshot is the state of a project at one moment. It is immutable; what it
// derives is computed once, when asked for.
type Snapshot struct {
	settings Settings
	overlays map[string]*overlay
	cache    *cache
	conf     *configured

	once  sync.Once
	cfg   *config.Config
	env   *pyenv.Env
	suite *discover.Suite
	err   error
	stats Stats
	views sync.Map // path -> *viewOnce
	key   string   // under which the Suite is remembered

	graphing  sync.Once
	graph     atomic.Pointer[graph.Graph]
	graphErr  error
	graphRead atomic.Int64
	base      *graph.Graph        // of an earlier Snapshot, nil for none
	since     []file.Change       // the files that changed since then, each once
	listed    map[string]*listing // the folders that the Suite was made from
	lookNs    int64               // when they were listed
}

// Stats says what a Snapshot cost.
type Stats struct {
	Read    int64 // source files read from disk
	Indexed int64 // modules taken from the index
	// GraphRead is Read for the Graph, 0 before it was asked for.
	GraphRead int64
	// Recalled says that nothing had changed and the Suite is the remembered
	// one.
	Recalled bool
	Total    time.Duration
}

// Suite returns the list of tests. The error is a *config.UsageError, or says
// why the named interpreter cannot be used.
func (s *Snapshot) Suite() (*discover.Suite, error) {
	s.once.Do(s.compute)
	return s.suite, s.err
}

// Config returns the configuration, nil when there is none to use.
func (s *Snapshot) Config() *config.Config {
	s.once.Do(s.compute)
	return s.cfg
}

// Env returns the interpreter's environment.
func (s *Snapshot) Env() *pyenv.Env {
	s.once.Do(s.compute)
	return s.env
}

// Configure returns the configuration and the interpreter's environment
// without looking for tests. The environment may be there though the
// configuration is not: pytest itself will say what is wrong with it.
func (s *Snapshot) Configure() (*config.Config, *pyenv.Env, error) { return s.configure() }

// Stats returns what computing the Suite cost.
func (s *Snapshot) Stats() Stats {
	s.once.Do(s.compute)
	st := s.stats
	st.GraphRead = s.graphRead.Load()
	return st
}

// StateDir is the folder for state: that of the settings, or of [tool.dx-py].
// "" for none.
func (s *Snapshot) StateDir() string {
	cfg, _, _ := s.configure()
	return s.settings.state(cfg)
}

func (st *Settings) state(cfg *config.Config) string {
	if st.StateNamed || cfg == nil || cfg.Tool.StateDir == "" {
		return st.StateDir
	}
	return file.Abs(cfg.Root, cfg.Tool.StateDir)
}

// configured is the configuration and environment of the Snapshots between two
// changes of the disk or the settings.
type configured struct {
	once sync.Once
	cfg  *config.Config
	env  *pyenv.Env
	err  error
}

func (s *Snapshot) configure() (*config.Config, *pyenv.Env, error) {
	s.conf.once.Do(func() { s.conf.cfg, s.conf.env, s.conf.err = s.settings.configure() })
	return s.conf.cfg, s.conf.env, s.conf.err
}

// configure determines configuration and environment.
func (st *Settings) configure() (*config.Config, *pyenv.Env, error) {
	in := config.Input{
		Dir: st.Dir, Args: st.Args, AddOpts: st.Env["PYTEST_ADDOPTS"], Plugins: st.Env["PYTEST_PLUGINS"],
		NoAutoload: st.Env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] != "",
	}
	// The rootdir decides where .venv is looked for, the interpreter's pytest
	// how the rootdir is found: the newest rules first, the right ones then.
	cfg, err := config.Load(in, pytest.Newest)
	root := st.Dir
	if err == nil {
		root = cfg.Root
	}
	python := st.Python
	if python == "" && err == nil && cfg.Tool.Python != "" {
		if python = cfg.Tool.Python; strings.ContainsRune(python, filepath.Separator) {
			python = file.Abs(root, python)
		}
	}
	env, envErr := pyenv.Find(pyenv.Input{Python: python, Root: root, Env: st.Env})
	if envErr != nil {
		return nil, nil, envErr
	}
	if env.HasPytest && env.Pytest != pytest.Newest {
		cfg, err = config.Load(in, env.Pytest)
	}
	if err == nil {
		err = discover.Check(cfg, env)
	}
	return cfg, env, err
}

func (s *Snapshot) compute() {
	began := time.Now()
	st := s.settings
	cfg, env, err := s.configure()
	if s.cfg, s.env, s.err = cfg, env, err; err != nil {
		return
	}
	key, state := "", st.state(cfg)
	if state != "" && !st.Verify && len(s.overlays) == 0 {
		key = suiteKey(cfg, env)
		if s.suite = recall(state, cfg.Root, key); s.suite != nil {
			s.suite = s.learnt(s.cfg, s.env, s.suite)
			s.stats = Stats{Recalled: true, Total: time.Since(began)}
			return
		}
	}
	s.key = key
	if !s.discover(state, began) {
		s.discover("", began) // the mapped index went away under our feet
	}
	if s.err == nil {
		s.suite = s.learnt(s.cfg, s.env, s.suite)
	}
	s.stats.Total = time.Since(began)
}

// discover makes the Suite with the help of an index; false when its memory
// turned out to be gone.
func (s *Snapshot) discover(stateDir string, began time.Time) (ok bool) {
	ix := openIndex(stateDir, s.cfg.Root, s.settings.Verify)
	defer ix.close()
	func() {
		defer ix.guard(debug.SetPanicOnFault(true))
		fs := newFiles(s.overlays, ix, s.cache, began.UnixNano())
		defer fs.ahead.Wait()
		s.suite, s.err = discover.Discover(discover.Input{Config: s.cfg, Env: s.env, Source: fs, Exprs: s.cache.exprs})
		fs.ahead.Wait()
		s.stats = Stats{Read: fs.reads.Load(), Indexed: ix.hits.Load()}
		if s.err == nil {
			var saving sync.WaitGroup
			saving.Add(1)
			go func() { // what is written belongs to us: no mapped memory, no fault
				defer saving.Done()
				if s.key != "" && stateDir != "" {
					fs.remember(stateDir, s.cfg.Root, s.key, s.suite)
				}
			}()
			ix.save()
			saving.Wait()
			s.listed, s.lookNs = fs.dirs, fs.lookNs
		}
	}()
	return !ix.broken.Load()
}
