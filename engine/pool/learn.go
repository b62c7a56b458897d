package pool

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// learned is a file whose compiled form an interpreter's forks can take over,
// but for what was edited since (pyworkers/dxworker/reuse.py).
type learned struct {
	path string
	id   file.Identity
	file *os.File // shared memory; one that is replaced is closed when nobody has it any more
}

// maxLearned is how many there are: they travel with a message that has room
// for sixteen descriptors, and the text and code of one of 2,000 lines take
// half a megabyte.
const maxLearned = 8

// note remembers that a file has outdated a session. The pool is locked.
func (p *Pool) note(path string) {
	if !strings.HasSuffix(path, ".py") {
		return
	}
	p.edited = append(slices.DeleteFunc(p.edited, func(old string) bool { return old == path }), path)
	if len(p.edited) > maxLearned {
		p.edited = p.edited[1:]
	}
}

// sources are the files that a session was made of: those of its tests, and what
// else it has read that modules are made of.
type sources struct{ tests, modules []string }

// sources are what the session was made of.
func (p *Session) sources() (u sources) {
	last := ""
	for _, it := range p.info.Items {
		if it.Path != last && p.settings.Unittest == nil {
			last = it.Path
			u.tests = append(u.tests, filepath.Join(p.info.Root, filepath.FromSlash(last)))
		}
	}
	slices.Sort(u.tests)
	u.tests = slices.Compact(u.tests)
	for path, id := range p.seen.files {
		if strings.HasSuffix(path, ".py") && id != (file.Identity{}) {
			u.modules = append(u.modules, path)
		}
	}
	slices.Sort(u.modules)
	return u
}

// learn has a fork of the stem with the conftests compile the files of a
// session's tests, of many those that were edited before, and modules that
// were.
func (p *Pool) learn(ctx context.Context, r recipe, used sources) {
	p.mu.Lock()
	edited := slices.Clone(p.edited)
	p.mu.Unlock()
	isTest := func(path string) bool {
		return filepath.Base(path) == "conftest.py" || slices.Contains(used.tests, path)
	}
	paths := slices.DeleteFunc(edited, func(path string) bool { return !isTest(path) && !slices.Contains(used.modules, path) })
	if len(used.tests) <= maxLearned {
		for _, path := range used.tests {
			if len(paths) < maxLearned && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	st := p.stemFor(configStage, r.key, r.settings)
	if st == nil {
		return
	}
	defer p.leave(st)
	root := st.root() // conftests come and go
	var proc *process
	for _, path := range paths {
		id, _ := file.StatAny(path)
		if slices.ContainsFunc(root.remembered(), func(l learned) bool { return l.path == path && l.id == id }) {
			continue
		}
		if proc == nil {
			var err error
			if proc, err = st.process.fork(true); err != nil {
				return
			}
			defer proc.end()
			defer context.AfterFunc(ctx, proc.kill)()
		}
		f, err := memory("dx-code", 0)
		if err != nil {
			return
		}
		info, err := reply{}, proc.stage.send(map[string]any{"op": "learn", "path": path, "rewritten": isTest(path)}, f)
		if err == nil {
			info, err = proc.stage.receive()
		}
		if err != nil {
			f.Close()
			return
		}
		root.remember(learned{path, id, f}, info.Learned)
	}
}

// remembered are the files that an interpreter's forks know.
func (s *stem) remembered() []learned {
	s.learns.Lock()
	defer s.learns.Unlock()
	return slices.Clone(s.learned)
}

// remember puts a file in the place of what was known of it. Where nothing new
// is, the old serves further, and the same is not asked for again.
func (s *stem) remember(l learned, ok bool) {
	s.learns.Lock()
	defer s.learns.Unlock()
	if at := slices.IndexFunc(s.learned, func(old learned) bool { return old.path == l.path }); at >= 0 {
		if !ok {
			l.file = s.learned[at].file
		}
		s.learned = slices.Delete(s.learned, at, at+1)
	}
	s.learned = append(s.learned, l)
	if len(s.learned) > maxLearned {
		s.learned = s.learned[1:]
	}
}
