package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
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
	inbox   inbox
	done    chan result

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
	// stuck are changes that a run could not answer, since it ended before the
	// tests: they count again with the next change.
	stuck  map[string]bool
	digest map[string]file.Digest // of what changed, at the last look
	writes writes
}

// job is one run.
type job struct {
	reason  string
	ids     []string // pytest's arguments in place of WHERE; nil: as the command line has it
	pattern string

	changes map[string]bool // what it answers
	all     bool            // any change
	bulk    bool            // of which there were too many to name

	cancel     context.CancelCauseFunc
	superseded bool // it is run again with what has changed meanwhile
	stopped    bool // the user wants it to end
}

// result is how a job ended.
type result struct {
	tally  *tally
	err    error
	panics any
}

// inbox holds what the watcher tells until the loop takes it.
type inbox struct {
	mu    sync.Mutex
	paths map[string]bool // whether it was absent before
	bulk  bool
	wake  chan struct{}
}

func (b *inbox) put(batch watch.Batch) {
	b.mu.Lock()
	for _, c := range batch.Changes {
		if _, had := b.paths[c.Path]; !had {
			b.paths[c.Path] = batch.Came[c.Path]
		}
	}
	b.bulk = b.bulk || batch.Bulk
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() (paths map[string]bool, bulk bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	paths, bulk = b.paths, b.bulk
	b.paths, b.bulk = map[string]bool{}, false
	return paths, bulk
}

// watch runs tests again and again, whenever something changes.
func (p *program) watch(f testFlags) error {
	words, _, err := config.Positional(f.rest)
	if err == nil && slices.ContainsFunc(f.rest, func(a string) bool { return a == "--pdb" || a == "--trace" }) {
		return errors.New("--pdb and --trace read the keyboard, which --watch does itself: use one of them")
	}
	if err != nil {
		words = nil // pytest says what is wrong
	}
	// One broken file hides nothing else.
	f.rest = insert(f.rest, "--continue-on-collection-errors")
	r, ws, err := p.request(f)
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		ws.Close()
		return err
	}
	cfg, _, _ := ws.Apply(workspace.Update{}).Configure() // an error in it is pytest's to tell
	ws.Close()

	keys, restore := keyboard(asFile(p.stdin))
	defer restore()
	p.stdin = nil
	p.engine = &engine.Engine{}
	defer p.engine.Close()
	w := &watching{
		p: p, flags: f, words: words, screen: newScreen(p, f.format == "jsonl"), done: make(chan result, 1),
		inbox: inbox{paths: map[string]bool{}, wake: make(chan struct{}, 1)},
		owed:  map[string]bool{}, stuck: map[string]bool{}, digest: map[string]file.Digest{}, writes: newWrites(),
	}
	w.screen.keys = keys != nil
	where := make([]string, len(words))
	for i, at := range words {
		where[i] = f.rest[at]
	}
	w.last = outcomesOf(cfg, r.Dir, where)
	what := watchedOf(cfg, r.Env, r.Dir, r.State)
	w.place = shortened(w.last.root, p.env["HOME"])
	w.watcher, err = watch.New(watch.Options{Roots: what.roots, StateDir: r.State, Ignore: what.ignore, Changed: w.inbox.put})
	if err != nil {
		return err
	}
	defer w.watcher.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	w.loop(keys, signals)
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

// loop runs until the user quits.
func (w *watching) loop(keys <-chan rune, signals <-chan os.Signal) {
	defer w.stop()
	w.start(&job{reason: "first run", all: true})
	for {
		select {
		case <-w.inbox.wake:
			w.absorb()
			w.proceed()
		case r := <-w.done:
			w.ended(r)
		case k, ok := <-keys:
			if !ok {
				return // the terminal has gone
			}
			if w.key(k) {
				w.p.status = exitOK
				return
			}
		case s := <-signals:
			if s == os.Interrupt {
				if w.key(keyInterrupt) {
					w.p.status = exitOK
					return
				}
				continue
			}
			w.p.status = terminated
			if n, ok := s.(syscall.Signal); ok {
				w.p.status += int(n)
			}
			return
		}
	}
}

// stop ends the run that goes on, and waits for its end.
func (w *watching) stop() {
	if w.now == nil {
		return
	}
	status := w.p.status
	w.now.cancel(run.Interrupted)
	<-w.done
	w.p.status = status
}

// sync has all edits in the inbox that are on disk.
func (w *watching) sync() {
	// Longer than a look at all files takes; an edit that is late is not lost.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.watcher.Sync(ctx)
	w.absorb()
}

// absorb takes what has changed out of the inbox. An edit of code makes the run
// that goes on pointless. Other files may be what the tests write: they are
// looked at when it has ended.
func (w *watching) absorb() {
	paths, bulk := w.inbox.take()
	w.owedAll = w.owedAll || bulk
	outdated := bulk
	for p, came := range paths {
		if !w.differs(p) || w.now != nil && w.writes.known(p, came) {
			continue
		}
		w.owed[p] = true
		w.held = false
		if w.now != nil {
			outdated = w.writes.during(p) || outdated
		}
	}
	if w.now != nil && outdated && !w.now.stopped {
		w.now.superseded = true
		w.now.cancel(run.Interrupted)
	}
}

// maxDigest is the size up to which a file is compared with what it was. A
// larger one has changed when it was written.
const maxDigest = 64 << 20

// differs reports whether a file is not what it was when it last changed. A
// folder is what is in it.
func (w *watching) differs(path string) bool {
	var d file.Digest // of nothing, and of folders
	dir := file.IsDir(path)
	if id, ok := file.Stat(path); ok && id.Size > maxDigest {
		return true
	}
	if content, _, err := file.Read(path, nil); err == nil {
		d = file.DigestOf(content)
	}
	before, known := w.digest[path]
	w.digest[path] = d
	return !dir && (!known || before != d)
}

// proceed starts what is to be run next, when nothing is.
func (w *watching) proceed() {
	switch {
	case w.now != nil || w.typed != nil:
	case w.next != nil:
		w.start(w.next)
	case !w.held && (w.owedAll || len(w.owed) > 0):
		w.start(nil)
	}
}

// afterChange is the run that the changes ask for.
func (w *watching) afterChange() *job {
	maps.Copy(w.owed, w.stuck)
	j := &job{changes: w.owed, all: w.owedAll, pattern: w.pattern, reason: "many files changed"}
	if !j.all {
		var changes []file.Change
		for _, p := range slices.Sorted(maps.Keys(j.changes)) {
			changes = append(changes, file.Change{Path: p})
		}
		j.ids = selectAfter(changes, w.last)
		j.reason = w.last.argument(changes[0].Path)
		if n := len(changes) - 1; n > 0 {
			j.reason += fmt.Sprintf(" and %d more", n)
		}
		j.reason += " changed"
	}
	return j
}

// start begins a run: nil is what the changes ask for. What is on disk by now
// is what it runs.
func (w *watching) start(j *job) {
	w.sync()
	w.next, w.held = nil, false
	if j == nil {
		j = w.afterChange()
	}
	if j.ids == nil && j.pattern == "" {
		j.all = true
	}
	if j.all {
		j.changes, j.bulk = w.owed, w.owedAll
	}
	if j.changes != nil {
		w.owed, w.owedAll, w.stuck = map[string]bool{}, false, map[string]bool{}
	}
	if j.ids != nil && len(j.ids) == 0 { // files of tests went, and no test fails
		w.last.learn(&tally{}, j.changes, false)
		return
	}
	w.runs++
	w.now = j
	f := w.flags
	if j.ids != nil {
		f.rest = slices.Clone(f.rest)
		for _, at := range slices.Backward(w.words) {
			f.rest = slices.Delete(f.rest, at, at+1)
		}
		f.rest = append(f.rest, j.ids...)
	}
	what := describe(j)
	if j.pattern != "" {
		f.rest = insert(f.rest, "-k", j.pattern)
	}
	w.screen.begin(w.runs, j.reason, what)
	ctx, cancel := context.WithCancelCause(context.Background())
	j.cancel = cancel
	go func() {
		r := result{tally: &tally{ran: map[string]bool{}}}
		defer func() {
			if v := recover(); v != nil {
				r.panics = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
			}
			w.done <- r
		}()
		r.err = w.p.execute(ctx, f, r.tally)
	}()
}

// describe says what a job runs.
func describe(j *job) string {
	s := "all tests"
	if n := len(j.ids); n > 3 {
		s = fmt.Sprintf("%d tests and files", n)
	} else if n > 0 {
		s = strings.Join(j.ids, ", ")
	}
	if j.pattern != "" {
		s += " -k " + j.pattern
	}
	return s
}

// ended takes the end of a run.
func (w *watching) ended(r result) {
	if r.panics != nil {
		w.now = nil
		panic(r.panics) // where the terminal is put back
	}
	w.sync()
	j := w.now
	w.now = nil
	j.cancel(nil)
	switch {
	case j.superseded || j.stopped:
		w.writes.cancelled()
		maps.Copy(w.owed, j.changes)
		w.owedAll = w.owedAll || j.bulk || j.all && !j.stopped
		w.held = j.stopped
		w.shown = "stopped"
	case r.err != nil:
		w.shown = "error: " + r.err.Error()
		maps.Copy(w.stuck, j.changes)
	case w.p.status == exitUsage && j.ids != nil: // an id that is not there any more
		w.next = &job{reason: j.reason, all: true}
	default:
		w.learn(j, r.tally)
	}
	w.settle()
}

// settle goes on with what is to be run, or waits.
func (w *watching) settle() {
	w.proceed()
	if w.now == nil && w.typed == nil {
		w.idle()
	}
}

// learn takes the results of a run in.
func (w *watching) learn(j *job, t *tally) {
	maps.DeleteFunc(w.owed, func(p string, _ bool) bool { return w.writes.temporary(p) })
	w.writes.ended()
	maps.DeleteFunc(w.owed, func(p string, _ bool) bool { return w.writes.known(p, false) })
	w.shown = t.line(w.p.status)
	whole := map[string]bool{}
	for p := range j.changes {
		whole[p] = w.last.testFile(p) && j.pattern == ""
	}
	w.last.learn(t, whole, j.all && j.pattern == "" && w.p.status < exitInternal)
	if w.p.status == exitOK || w.p.status == exitNoTests {
		return
	}
	ran := map[string]bool{}
	for id := range t.ran {
		ran[w.last.path(id)] = true
	}
	for p := range j.changes {
		// It could not be collected; of a file that is no test's nobody knows.
		if whole[p] && file.Exists(p) && !ran[p] || !whole[p] && len(t.bad) == 0 {
			w.stuck[p] = true
		}
	}
}

func (w *watching) idle() {
	var notes []string
	if s := w.watcher.Status(); s.Reason != "" {
		notes = append(notes, s.Reason)
	}
	if own := w.writes.paths(); len(own) > 0 {
		notes = append(notes, "written by the tests, so no run follows when they do: "+w.last.argument(own[0])+more(len(own)-1))
	}
	w.screen.idle(w.shown, notes, w.place, len(w.last.bad), w.pattern)
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// ask has a job run now, in place of the one that goes on.
func (w *watching) ask(j *job) {
	w.next = j
	if w.now == nil {
		w.start(j)
		return
	}
	w.now.stopped = true
	w.now.cancel(run.Interrupted)
}

// key does what a key asks for, and reports whether that is to quit.
func (w *watching) key(k rune) (quit bool) {
	if w.typed != nil {
		return w.typing(k)
	}
	switch k {
	case keyInterrupt:
		if w.now == nil || w.now.stopped {
			return true
		}
		w.next, w.now.stopped = nil, true
		w.now.cancel(run.Interrupted)
	case 'q', keyEnd:
		return true
	case 'a':
		w.pattern = ""
		w.ask(&job{reason: "all", all: true})
	case 'f':
		if len(w.last.bad) == 0 {
			w.screen.line("no test has failed")
			break
		}
		ids := make([]string, len(w.last.bad))
		for i, id := range w.last.bad {
			ids[i] = w.last.id(id)
		}
		w.ask(&job{reason: "failed tests", ids: ids})
	case '\r', '\n':
		w.again()
	case 'p':
		w.typed = &[]rune{}
		w.screen.prompt("")
	}
	return false
}

// again runs what ran last.
func (w *watching) again() { w.ask(&job{reason: "again", pattern: w.pattern, all: w.pattern == ""}) }

// typing takes a key of the pattern's line.
func (w *watching) typing(k rune) (quit bool) {
	line := w.typed
	switch {
	case k == keyInterrupt || k == keyEscape:
		w.typed = nil
		w.screen.line("")
		w.settle()
	case k == '\r' || k == '\n':
		w.typed = nil
		w.screen.line("")
		if w.pattern = strings.TrimSpace(string(*line)); w.pattern == "" {
			w.ask(&job{reason: "all", all: true})
		} else {
			w.ask(&job{reason: "pattern", pattern: w.pattern})
		}
		return false
	case k == keyBackspace || k == keyErase:
		*line = (*line)[:max(len(*line)-1, 0)]
	case unicode.IsPrint(k):
		*line = append(*line, k)
	}
	if w.typed != nil {
		w.screen.prompt(string(*line))
	}
	return false
}
