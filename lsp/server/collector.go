package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// collector is the sink of what a run does in one folder.
type collector struct {
	server *server
	run    *testRun
	part   *part
	root   string // pytest's rootdir in this run: ids are relative to it
	home   string // the folder's: refs are
	began  time.Time

	state   *state            // of the project, before pytest began
	before  map[string]string // of the files that were asked for, before pytest began
	items   []plan.Item
	workers int
	sources map[string]*source
	settled sync.WaitGroup
	bad     []string // files in which a test failed
	done    int
}

// Event keeps results, by the file that the test is collected from, and has
// the client told.
func (c *collector) Event(e run.Event) {
	a := c.run.announce
	switch {
	case e.Started != nil:
		c.started(e.Started)
	case e.Test != nil:
		c.test(e.Test)
	case e.Problem != nil:
		a.says(testproto.OutputParams{Stream: "stderr", Text: e.Problem.Message + "\n"})
	case e.Warning != nil:
		w := e.Warning
		a.says(testproto.OutputParams{Stream: "log", Text: w.Path + ":" + strconv.Itoa(w.Line) + ": " + w.Category + ": " + w.Message + "\n"})
	case e.Ended != nil:
		for o, n := range e.Ended.Totals {
			c.run.totals[o.String()] += n
		}
		c.settled.Wait()
		c.server.results.keepTexts(c.bad)
	}
}

func (c *collector) ref(path, name string) testproto.Ref {
	return c.part.folder.refOf(c.home, key{path, name})
}

// started knows what was really collected.
func (c *collector) started(e *run.Started) {
	s := c.server
	c.items, c.workers = e.Items, e.Workers
	s.results.collected(c.part.running())
	c.sources = map[string]*source{}
	var paths []string
	for i := range e.Items {
		path, name := split(c.root, e.Items[i].ID)
		if c.sources[path] == nil {
			c.sources[path] = &source{in: c.state}
			paths = append(paths, path)
		}
		if c.run.announce.on {
			c.run.announce.state(testproto.Change{Ref: c.ref(path, name), State: testproto.Enqueued})
		}
	}
	c.next(0)
	c.settled.Add(1)
	release := c.run.announce.hold()
	go func() { // beside the tests: 40 µs a file
		defer c.settled.Done()
		defer release()
		for _, p := range paths {
			c.settle(p)
		}
		c.run.announce.add(s.learn(c.root, e.Items))
	}()
	c.run.progress.report(0, len(e.Items))
}

// next says which test runs now. With one worker they run in their order; which
// of several run is not told.
func (c *collector) next(i int) {
	if c.workers <= 1 && c.run.announce.on && i < len(c.items) {
		path, name := split(c.root, c.items[i].ID)
		c.run.announce.state(testproto.Change{Ref: c.ref(path, name), State: testproto.Started})
	}
}

// digests are those of the files that were asked for. A file that has the same
// before pytest began and after it collected is what ran.
func (c *collector) digests() map[string]string {
	out := map[string]string{}
	for _, k := range c.part.keys {
		if _, seen := out[k.path]; !seen && file.IsRegular(k.path) {
			if text, err := os.ReadFile(k.path); err == nil {
				out[k.path] = history.Digest(text)
			}
		}
	}
	return out
}

func (c *collector) settle(path string) {
	s := c.server
	text, err := os.ReadFile(path)
	id, _ := file.Stat(path)
	d, asked := c.before[path]
	sure := err == nil && (asked && d == history.Digest(text) || !asked && id.MtimeNs < c.began.UnixNano())
	s.mu.Lock()
	var buffer []byte
	if doc := s.docs[path]; doc != nil {
		buffer = nonNil(doc.text)
	}
	s.mu.Unlock()
	s.results.settle(path, c.sources[path], sure, text, buffer)
}

func (c *collector) test(t *pytest.Result) {
	path, name := split(c.root, t.ID)
	if c.sources[path] == nil {
		c.sources[path] = &source{in: c.state} // an id that was not collected: a plugin's
	}
	c.server.results.add(c.part.folder, path, name, t, c.sources[path])
	if t.Outcome.Bad() && !slices.Contains(c.bad, path) {
		c.bad = append(c.bad, path)
	}
	c.done++
	c.run.progress.report(c.done, len(c.items))
	a := c.run.announce
	if !a.on {
		return
	}
	ref := c.ref(path, name)
	for _, sec := range t.Sections {
		stream := "stdout"
		switch {
		case strings.HasPrefix(sec.Title, "Captured stderr"):
			stream = "stderr"
		case strings.HasPrefix(sec.Title, "Captured log"):
			stream = "log"
		}
		a.says(testproto.OutputParams{Ref: &ref, Stream: stream, Text: ended(sec.Text)})
	}
	a.state(c.server.change(c.part.folder, path, name, t))
	a.add(c.server.subtests(ref, path, t))
	for _, sub := range t.Subtests {
		a.state(testproto.Change{Ref: testproto.Ref{Root: ref.Root, ID: ref.ID + " " + subtestLabel(sub)}, State: stateOf(sub.Outcome), Messages: textMessages(sub.Text)})
	}
	c.next(c.done)
}

// ended has a text end with a line end.
func ended(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

func textMessages(text string) []testproto.Message {
	if text == "" {
		return nil
	}
	return []testproto.Message{{Text: testproto.Markup{Kind: "plaintext", Value: text}}}
}

// subtestLabel names a subtest as pytest does in its summary.
func subtestLabel(sub pytest.Subtest) string {
	out := ""
	if sub.Message != "" {
		out = "[" + sub.Message + "]"
	}
	var args []string
	for k, v := range sub.Kwargs {
		args = append(args, k+"="+v)
	}
	slices.Sort(args)
	if len(args) > 0 {
		out = strings.TrimSpace(out + " (" + strings.Join(args, ", ") + ")")
	}
	if out == "" {
		return "(<subtest>)"
	}
	return out
}

func stateOf(o pytest.Outcome) testproto.State {
	switch o {
	case pytest.Passed:
		return testproto.Passed
	case pytest.XPassed:
		return testproto.XPassed
	case pytest.Skipped:
		return testproto.Skipped
	case pytest.XFailed:
		return testproto.XFailed
	case pytest.Failed:
		return testproto.Failed
	}
	return testproto.Error
}

var (
	collecting = regexp.MustCompile(`(?m)^_+ ERROR collecting (.+?) _+$`)
	errorLine  = regexp.MustCompile(`(?m)^E   (\S.*)$`)
	heading    = regexp.MustCompile(`(?m)^(=+ .* =+|_+ .* _+)$`)
)

// refused takes what pytest printed when it ended before it would run a test:
// errors of collection, or of usage.
func (c *collector) refused(printed string) {
	s, a := c.server, c.run.announce
	s.results.collected(c.part.running())
	a.says(testproto.OutputParams{Stream: "stdout", Text: printed})
	for _, m := range collecting.FindAllStringSubmatchIndex(printed, -1) {
		path, _ := split(c.root, printed[m[2]:m[3]])
		text := printed[m[1]:]
		if end := heading.FindStringIndex(text); end != nil {
			text = text[:end[0]]
		}
		b := brokenOf(path, text)
		onDisk, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		b.ran = &source{settled: true, sure: true, digest: history.Digest(onDisk), text: onDisk}
		s.results.setBroken(path, b)
		a.state(testproto.Change{Ref: c.ref(path, ""), State: testproto.Error, Messages: []testproto.Message{{
			Text: testproto.Markup{Kind: "plaintext", Value: strings.TrimSpace(b.text)}, Location: s.location(path, b.line, b.ran.text),
		}}})
	}
}

// brokenOf reads one error of collection.
func brokenOf(path, text string) *broken {
	b := &broken{line: 1, message: "the file could not be collected", text: text}
	if all := errorLine.FindAllStringSubmatch(text, -1); len(all) > 0 {
		b.message = all[len(all)-1][1]
	}
	name := regexp.QuoteMeta(filepath.Base(path))
	at := regexp.MustCompile(`(?m)(?:^(?:[^\n:]*/)?` + name + `:(\d+): |File "[^"\n]*` + name + `", line (\d+))`)
	if all := at.FindAllStringSubmatch(text, -1); len(all) > 0 {
		last := all[len(all)-1]
		if n, err := strconv.Atoi(last[1] + last[2]); err == nil {
			b.line = n
		}
	}
	return b
}
