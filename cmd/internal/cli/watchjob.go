package cli

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// job is one run.
type job struct {
	reason  string
	ids     []string // pytest's arguments in place of WHERE; nil: as the command line has it
	pattern string

	changes map[string]bool // what it answers
	all     bool            // any change
	due     bool            // only what the changes have made due
	bulk    bool            // of which there were too many to name

	cancel     context.CancelCauseFunc
	superseded bool // it is run again with what has changed meanwhile
	stopped    bool // the user wants it to end
}

// result is how a job ended.
type result struct {
	tally  *tally
	spent  time.Duration // from the key or the change, collection and all
	err    error
	panics any
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
	var changes []file.Change
	for _, p := range slices.Sorted(maps.Keys(j.changes)) {
		changes = append(changes, file.Change{Path: p})
	}
	if len(changes) > 0 {
		j.reason = w.last.argument(changes[0].Path) + more(len(changes)-1) + " changed"
	}
	if !j.all {
		j.ids = selectAfter(changes, w.last)
	}
	// Of other files nobody knows whether they are what the tests write.
	code := !slices.ContainsFunc(changes, func(c file.Change) bool { return !strings.HasSuffix(c.Path, ".py") })
	j.due = j.ids == nil && !j.all && code && j.pattern == "" && w.graphed
	return j
}

// start begins a run: nil is what the changes ask for. What is on disk by now
// is what it runs.
func (w *watching) start(j *job) {
	w.sync()
	w.observing = nil // a run comes first
	w.judgeLate()
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
	f.affected = f.affected || j.due
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
	j.cancel, w.p.ctx = cancel, ctx
	began := time.Now()
	go func() {
		r := result{tally: &tally{ran: map[string]bool{}}}
		defer func() {
			if v := recover(); v != nil {
				r.panics = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
			}
			w.done <- r
		}()
		r.err = w.p.testOnce(f, r.tally)
		r.spent = time.Since(began)
	}()
}

// describe says what a job runs.
func describe(j *job) string {
	s := "all tests"
	if j.due {
		s = "what is due"
	}
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
	w.now, w.observing = nil, w.p.engine.Observing()
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
		w.learn(j, r)
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
func (w *watching) learn(j *job, r result) {
	t := r.tally
	maps.DeleteFunc(w.owed, func(p string, _ bool) bool { return w.writes.temporary(p) })
	w.writes.ended(j.all && j.pattern == "")
	maps.DeleteFunc(w.owed, func(p string, _ bool) bool { return w.writes.isOwn(p) })
	w.owedAll = w.owedAll && !w.writes.isOwn(anything)
	w.shown = t.line(w.p.status, r.spent)
	complete, everything := t.ended.NotRun == 0, j.ids == nil && j.pattern == "" && !j.due
	tests, whole := map[string]bool{}, map[string]bool{}
	for p := range j.changes {
		tests[p] = w.last.testFile(p) && j.pattern == ""
		whole[p] = tests[p] && complete
	}
	w.last.learn(t, whole, everything && complete && w.p.status < exitInternal)
	if j.due && complete && w.p.status < exitInternal {
		w.last.bad = t.bad // what failed is due, and what is not has passed
	}
	switch {
	case everything:
		w.unfinished = !complete
	case w.unfinished && j.pattern == "" && w.p.status == exitOK:
		w.next = &job{reason: "what the first failure had left out", all: true}
	}
	if w.p.status == exitOK || w.p.status == exitNoTests {
		return
	}
	ran := map[string]bool{}
	for id := range t.ran {
		ran[w.last.path(id)] = true
	}
	for p := range j.changes {
		// It could not be collected; of a file that is no test's nobody knows.
		if tests[p] && file.Exists(p) && !ran[p] || !tests[p] && len(t.bad) == 0 {
			w.stuck[p] = true
		}
	}
}

// idle shows that nothing runs.
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
