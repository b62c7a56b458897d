package cli

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/watch"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// watching is one `test --watch`. One goroutine, that of loop, owns it.
type watching struct {
	p       *program
	flags   testFlags
	words   []int // where flags.rest has WHERE
	place   string
	screen  *screen
	watcher *watch.Watcher
	inbox   *watch.Inbox
	done    chan result

	graphed bool // what a change reaches is known
	last    *outcomes
	shown   string // the last result
	pattern string
	runs    int
	now     *job // that runs
	next    *job // that a key asked for
	typed   *[]rune

	owed    map[string]bool // paths whose change no run has answered yet
	owedAll bool
	held    bool // until something changes: the user has stopped a run
	// unfinished says that the last run of all tests ended early, by -x: those
	// that were left out run when what failed has passed.
	unfinished bool
	// stuck are changes that a run could not answer, since it ended before the
	// tests: they count again with the next change.
	stuck  map[string]bool
	digest map[string]file.Digest // of what changed, at the last look
	writes writes

	observing <-chan struct{}        // closed when the tests that ran have been observed anew; nil when they are not
	late      map[string]bool        // what changed meanwhile, and maybe by them; with whether it came
	written   func() map[string]bool // what tests were seen to write, absolute
}

// watch runs tests again and again, whenever something changes.
func (p *program) watch(f testFlags) error {
	if slices.ContainsFunc(f.rest, func(a string) bool { return a == "--pdb" || a == "--trace" }) {
		return errors.New("--pdb and --trace read the keyboard, which --watch does itself: use one of them")
	}
	dir, state, err := p.place(f)
	if err == nil {
		err = p.bind(&f, dir, state)
	}
	if err != nil {
		return err
	}
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	defer ws.Close()
	if r.Env.Python == "" {
		return r.Check()
	}
	unittest := discover.Unittest(r.Env)
	if !unittest { // which goes on anyway
		f.rest = insert(f.rest, "--continue-on-collection-errors") // one broken file hides nothing else
	}
	words, _, err := config.Positional(f.rest)
	if err != nil {
		words = nil // pytest says what is wrong
	}
	cfg, _, _ := ws.Apply(workspace.Update{}).Configure() // an error in it is pytest's to tell
	signals := make(chan os.Signal, 4)                    // before a signal could leave the terminal raw
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	keys, restore := keyboard(asFile(p.stdin))
	defer restore()
	p.stdin = nil
	p.engine = &engine.Engine{}
	defer p.engine.Close()
	w := &watching{
		p: p, flags: f, words: words, screen: newScreen(p, f.format == "jsonl"), done: make(chan result, 1),
		inbox: watch.NewInbox(), owed: map[string]bool{}, stuck: map[string]bool{}, digest: map[string]file.Digest{}, writes: newWrites(),
		late: map[string]bool{}, written: func() map[string]bool { return engine.Written(&r) },
	}
	w.graphed = r.State != "" && r.Config != nil && r.Env.HasPytest
	w.screen.keys = keys != nil
	where := make([]string, len(words))
	for i, at := range words {
		where[i] = f.rest[at]
	}
	w.last = outcomesOf(cfg, r.Dir, where)
	if unittest {
		w.last.patterns = []string{"test*.py"}
	}
	what := engine.Watched(cfg, r.Env, r.Dir, r.State)
	what.Changed = w.inbox.Put
	w.place = shortened(w.last.root, p.env["HOME"])
	w.watcher, err = watch.New(what)
	if err != nil {
		return err
	}
	defer w.watcher.Close()
	status := w.loop(keys, signals)
	w.stop()
	p.status = status
	return nil
}

// shortened writes a folder for people.
func shortened(dir, home string) string {
	if rel, in := file.Rel(home, dir); in && home != "" {
		return filepath.Join("~", rel)
	}
	return dir
}

// insert puts options where they are options: before "--".
func insert(args []string, options ...string) []string {
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	return slices.Insert(slices.Clone(args), at, options...)
}

// terminated is the exit status behind a signal, as shells have it.
const terminated = 128

// loop runs until the user quits, and returns the exit status.
func (w *watching) loop(keys <-chan rune, signals <-chan os.Signal) int {
	w.start(&job{reason: "first run", all: true})
	for {
		select {
		case <-w.inbox.Wake():
			w.absorb()
			w.proceed()
		case r := <-w.done:
			w.ended(r)
		case <-w.observing:
			w.sync()
			w.observing = nil
			w.judgeLate()
			w.proceed()
		case k, ok := <-keys:
			if !ok || w.key(k) { // the terminal may have gone
				return exitOK
			}
		case s := <-signals:
			if n, ok := s.(syscall.Signal); ok && s != os.Interrupt {
				return terminated + int(n)
			}
			if w.key(keyInterrupt) {
				return exitOK
			}
		}
	}
}

// stop ends the run that goes on, and waits for its end.
func (w *watching) stop() {
	if w.now != nil {
		w.now.cancel(run.Interrupted)
		<-w.done
	}
}
