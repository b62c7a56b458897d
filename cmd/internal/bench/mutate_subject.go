package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed mutate_plain.py
var mutatePlain string

// subject is a suite that is mutated, in a state that --affected knows.
type subject struct {
	suite
	binary, home string
	clean        map[string]string // outcomes by id
	flaky        map[string]bool
	imports      map[string][]string // as they happened, relative to the root
	status       int                 // pytest's
	idle         int                 // tests that ran though nothing had changed
	audit        []string            // what affected --audit said
	stamp        time.Time           // of the last mutation
	limit        time.Duration       // of a run; 0 for none
}

// endlessError says that a run did not end in time.
type endlessError struct{ by time.Duration }

func (e endlessError) Error() string {
	return fmt.Sprintf("it did not end within %.0f s", e.by.Seconds())
}

// answer is what a run said.
type answer struct {
	tests     map[string]string
	status    int
	unchanged int // tests that were left out
	problems  []string
	imports   map[string][]string
	said      string
}

// newSubject makes a suite as it was unpacked, and runs it. What it writes
// while it runs is part of the state that mutations start from.
func newSubject(s suite, binary, home string, narrow bool) (*subject, error) {
	x := &subject{suite: s, binary: binary, home: home, flaky: map[string]bool{}, stamp: time.Now().Add(-240 * time.Hour).Truncate(time.Second)}
	unpacked := filepath.Join(home, "unpacked")
	if _, err := os.Stat(unpacked); err != nil {
		if err := mirror(s.Src, unpacked); err != nil {
			return nil, err
		}
	} else if err := mirror(unpacked, s.Src); err != nil {
		return nil, err
	}
	for _, id := range s.Flaky {
		x.flaky[id] = true
	}
	began := time.Now()
	first, err := x.plain(false)
	if err != nil {
		return nil, err
	}
	limit := 4*time.Since(began) + time.Minute
	second, err := x.plain(true)
	if err != nil {
		return nil, err
	}
	x.clean, x.status, x.imports = first.tests, first.status, second.imports
	for _, answers := range []map[string]string{first.tests, second.tests} {
		for id := range answers {
			if first.tests[id] != second.tests[id] {
				x.flaky[id] = true
			}
		}
	}
	if len(x.clean) == 0 {
		return nil, fmt.Errorf("pytest ran no test:\n%s", first.said)
	}
	for _, name := range []string{"mutate-state", "mutate-known"} {
		if err := os.RemoveAll(filepath.Join(home, name)); err != nil {
			return nil, err
		}
	}
	all, err := x.affected()
	if err != nil {
		return nil, err
	}
	for id, o := range x.clean { // what differs here has nothing to do with mutations
		if all.tests[id] != o {
			x.flaky[id] = true
		}
	}
	if narrow {
		args := []string{"--cli", "affected", "--audit", "--python", x.Python, "--state-dir", filepath.Join(x.home, "mutate-state"), "--"}
		said, status, err := x.run(nil, x.binary, append(args, x.Args...)...)
		if err != nil {
			return nil, err
		}
		if x.audit = strings.Split(strings.TrimSpace(string(said)), "\n"); status != 0 {
			return nil, fmt.Errorf("affected --audit: exit status %d:\n%s", status, said)
		}
	}
	if err := mirror(filepath.Join(home, "mutate-state"), filepath.Join(home, "mutate-known")); err != nil {
		return nil, err
	}
	again, err := x.affected()
	if err != nil {
		return nil, err
	}
	for id := range again.tests {
		if !bad(x.clean[id]) && !x.flaky[id] {
			x.idle++
		}
	}
	x.limit = limit
	return x, mirror(s.Src, filepath.Join(home, "clean"))
}

func bad(outcome string) bool {
	return outcome == "failed" || outcome == "error" || outcome == "xpassed"
}

// restore makes the project, and what is known of it, as before a mutation.
func (x *subject) restore() error {
	return errors.Join(mirror(filepath.Join(x.home, "clean"), x.Src), mirror(filepath.Join(x.home, "mutate-known"), filepath.Join(x.home, "mutate-state")))
}

// apply makes a mutation. Each file gets a time of its own: Python takes a
// compiled module of the same second and size for that of the text.
func (x *subject) apply(m mutation) error {
	for _, rel := range slices.Sorted(maps.Keys(m.Files)) {
		p, text := filepath.Join(x.Src, filepath.FromSlash(rel)), m.Files[rel]
		if text == nil {
			if err := os.Remove(p); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(*text), 0o644); err != nil {
			return err
		}
		x.stamp = x.stamp.Add(2 * time.Second)
		if err := os.Chtimes(p, x.stamp, x.stamp); err != nil {
			return err
		}
	}
	return nil
}

// verdictOfEdit is what one mutation showed.
type verdictOfEdit struct {
	changed        int // tests whose outcome changed
	missed, wrong  []string
	left           []string          // ids of tests that are missed
	said           map[string]string // how they ended here, of those that ran
	order          int               // of them, those that end as ever when they run without the others, or by chance
	share, closure float64           // closure is -1 where no module was edited
	skipped        bool              // nothing was left out, so that pytest was not asked
	endless        bool              // a test hangs: nothing can be compared
	took           time.Duration
}

// judge makes a mutation and compares. Files that tests write are taken back
// between the runs too.
func (x *subject) judge(m mutation, n int, quick bool) (v verdictOfEdit, err error) {
	began := time.Now()
	if err := x.restore(); err != nil {
		return v, err
	}
	if err := x.apply(m); err != nil {
		return v, err
	}
	ours, err := x.affected()
	if errors.As(err, &endlessError{}) {
		return verdictOfEdit{endless: true, took: time.Since(began)}, nil
	}
	if err != nil {
		return v, err
	}
	ran := 0
	for id := range ours.tests {
		if x.clean[id] != "" {
			ran++
		}
	}
	v.share, v.closure = float64(ran)/float64(len(x.clean)), x.closure(m)
	if ran == 0 && ours.unchanged == 0 && ours.status != 0 && ours.status != 5 {
		v.share = 1 // nothing can run
	}
	if quick && ran == len(x.clean) {
		v.skipped, v.took = true, time.Since(began)
		return v, nil
	}
	if err := mirror(filepath.Join(x.home, "clean"), x.Src); err != nil {
		return v, err
	}
	x.stamp = x.stamp.Add(-time.Duration(2*len(m.Files)) * time.Second) // the same times again
	if err := x.apply(m); err != nil {
		return v, err
	}
	x.stamp = x.stamp.Add(time.Duration(2*len(m.Files)) * time.Second)
	theirs, err := x.plain(false)
	if errors.As(err, &endlessError{}) {
		return verdictOfEdit{endless: true, missed: []string{"MISS: " + err.Error() + " with plain pytest"}, took: time.Since(began)}, nil
	}
	if err != nil {
		return v, err
	}
	x.compare(&v, ours, theirs)
	if len(v.left) > 0 && len(v.left) == len(v.missed) {
		if err := x.alone(&v); err != nil {
			return v, err
		}
	}
	v.took = time.Since(began)
	return v, nil
}

// chances is how often a test is asked that ran, and ended otherwise than with
// plain pytest: hypothesis gives it other inputs each time.
const chances = 10

// alone runs with plain pytest what was missed, without what else has run: a test
// whose outcome only those before it have changed does not depend on the
// mutation, and one that ends sometimes so and sometimes so was not missed.
func (x *subject) alone(v *verdictOfEdit) error {
	for _, id := range v.left {
		y := *x
		y.Args = []string{id}
		said, ran := v.said[id]
		tries := 1
		if ran {
			tries = chances
		}
		found := false
		for ; tries > 0 && !found; tries-- {
			a, err := y.plain(false)
			if err != nil {
				return err
			}
			found = a.tests[id] == x.clean[id] || ran && a.tests[id] == said
		}
		if !found {
			return nil
		}
	}
	v.order, v.missed, v.wrong = len(v.left), nil, nil
	return nil
}

func (x *subject) compare(v *verdictOfEdit, ours, theirs answer) {
	v.said = map[string]string{}
	ids := map[string]bool{}
	for _, list := range []map[string]string{x.clean, theirs.tests} {
		for id := range list {
			ids[id] = true
		}
	}
	// One of the suites has an error in collection that depends on what was
	// collected before: without a failed test it says nothing of a mutation.
	asEver := theirs.status == 1 && x.status == 1 && !slices.ContainsFunc(slices.Collect(maps.Values(theirs.tests)), bad)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		was, is := x.clean[id], theirs.tests[id]
		if was == is || x.flaky[id] {
			continue
		}
		v.changed++
		switch said, ran := ours.tests[id]; {
		case is == "" && !ran && (ours.status != 0 || theirs.status == 0 || theirs.status == 5 || asEver):
			// It is gone, and a run that pytest does not end well is not said to be well.
		case !ran:
			v.left = append(v.left, id)
			v.missed = append(v.missed, fmt.Sprintf("MISS %s: not run, was %s, is %s", id, or(was, "not there"), or(is, "gone")))
		case said != is && !(bad(said) && bad(is)):
			v.left, v.said[id] = append(v.left, id), said
			v.missed = append(v.missed, fmt.Sprintf("MISS %s: %s, was %s, is %s", id, said, or(was, "not there"), or(is, "gone")))
		}
	}
	for _, p := range ours.problems {
		v.wrong = append(v.wrong, "WRONG: "+p)
	}
	if a, b := ours.status, theirs.status; a != b && !(b == 5 && a == 0) && !(a == 0 && asEver) {
		v.wrong = append(v.wrong, fmt.Sprintf("WRONG: exit status %d, pytest's is %d", a, b))
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// closure is the share of tests in files that import an edited module, over
// any number of others, or -1. A conftest.py counts as imported by what is
// below it.
func (x *subject) closure(m mutation) float64 {
	reached := map[string]bool{}
	for rel, text := range m.Files {
		if _, err := os.Stat(filepath.Join(x.home, "clean", rel)); err != nil || text == nil || !strings.HasSuffix(rel, ".py") {
			return -1
		}
		reached[rel] = true
	}
	for again := true; again; {
		again = false
		for from, to := range x.imports {
			if !reached[from] && slices.ContainsFunc(to, func(p string) bool { return reached[p] }) {
				reached[from], again = true, true
			}
		}
	}
	tests := 0
	for id := range x.clean {
		path, _, _ := strings.Cut(id, "::")
		in := reached[path]
		for dir := filepath.Dir(path); !in; dir = filepath.Dir(dir) {
			in = reached[filepath.Join(dir, "conftest.py")] || reached[filepath.Join(dir, "__init__.py")]
			if dir == "." {
				break
			}
		}
		if in {
			tests++
		}
	}
	return float64(tests) / float64(len(x.clean))
}

// plain runs the user's pytest.
func (x *subject) plain(imports bool) (a answer, err error) {
	dir, err := os.MkdirTemp("", "mutate-plain")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "mutate_plain.py"), []byte(mutatePlain), 0o600); err != nil {
		return a, err
	}
	out := filepath.Join(dir, "out.json")
	env := []string{"PYTHONPATH=" + dir, "MUTATE_OUT=" + out}
	if imports {
		env = append(env, "MUTATE_IMPORTS="+x.Src)
	}
	args := append([]string{"-q", "-p", "mutate_plain", "--continue-on-collection-errors"}, x.Args...)
	said, status, err := x.run(env, filepath.Join(filepath.Dir(x.Python), "pytest"), args...)
	if err != nil {
		return a, err
	}
	a.status, a.said = status, string(said)
	b, err := os.ReadFile(out)
	if err != nil {
		return a, nil // pytest did not get as far as tests
	}
	var told struct {
		Tests   map[string]string
		Imports map[string][]string
	}
	err = json.Unmarshal(b, &told)
	a.tests, a.imports = told.Tests, told.Imports
	return a, err
}

// affected runs what is due.
func (x *subject) affected() (a answer, err error) {
	args := []string{"--cli", "test", "--affected", "--no-daemon", "--unobserved", "--format", "jsonl", "--python", x.Python, "--state-dir", filepath.Join(x.home, "mutate-state"), "-n", "1"}
	said, status, err := x.run(nil, x.binary, append(args, x.Args...)...)
	if err != nil {
		return a, err
	}
	a.tests, a.status = map[string]string{}, status
	for _, line := range bytes.Split(said, []byte("\n")) {
		var e struct {
			Event, ID, Outcome, Message string
			Unchanged                   int
		}
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		switch e.Event {
		case "test":
			a.tests[e.ID] = e.Outcome
		case "run_ended":
			a.unchanged = e.Unchanged
		case "problem":
			a.problems = append(a.problems, e.Message)
		}
	}
	return a, nil
}

// run gives the output and exit status of a command in the project.
func (x *subject) run(env []string, name string, args ...string) ([]byte, int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if x.limit > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, x.limit, endlessError{x.limit})
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = x.Src, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second // what it leaves behind may keep its output open
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, 0, err
	}
	return out.Bytes(), cmd.ProcessState.ExitCode(), nil
}
