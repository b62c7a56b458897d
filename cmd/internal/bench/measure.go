package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is one command on one project. Which answers are right is told by
// its edit, by check, or by the group's reference; else nobody knows.
type contender struct {
	name, dir string
	venv      venv // its interpreter is the first on PATH
	cmd       []string
	env       []string // beside the environment, KEY=VALUE
	before    func()   // run before each measurement, outside of it
	edit      *edit    // made before each measurement, outside of it
	plain     bool     // it is pytest, fresh each time: edits that fail are for the others
	wait      time.Duration
	settle    time.Duration // after each run, for what is made ready behind it
	warmups   int           // runs that are not counted; 0 is one
	stop      []string      // ends what stays behind the runs
	check     func(reply) bool
	counted   string // the same project whose tests count themselves
	note      string // why it cannot be had
}

// group is what is measured in turns; only within it are times comparable.
type group struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	Title   string `json:"title"`
	Runs    int    `json:"runs"`
	Rows    []row  `json:"rows"`

	ResidentMB float64 `json:"resident_mb,omitempty"` // of the resident process, at the end

	cs        []contender
	reference string // the contender whose tests and exit status are right
}

// row is what was measured of one contender.
type row struct {
	Name     string  `json:"name"`
	MedianMs float64 `json:"median_ms"`
	MinMs    float64 `json:"min_ms"`
	MaxMs    float64 `json:"max_ms"`
	MemoryMB float64 `json:"peak_memory_mb"` // of the process that is called
	Tests    int     `json:"tests"`          // run, as it says
	Counted  int     `json:"counted"`        // run, as the tests themselves say; 0: not asked
	Right    int     `json:"right"`          // of Checked answers
	Checked  int     `json:"checked"`
	Note     string  `json:"note,omitempty"`
}

func (r row) wrong() bool { return r.Note == "" && r.Right < r.Checked }

// reply is what one run did.
type reply struct {
	status, tests int
	ms, mb        float64
	text          string
}

// unwarmed is a contender that is measured from its first run on.
const unwarmed = -1

// turns runs the contenders in turns, as often as runs says or as the budget
// allows.
func (b *bench) turns(g *group) {
	runs := g.Runs
	if runs == 0 {
		runs = b.runs
	}
	g.Rows = make([]row, len(g.cs))
	times := make([][]float64, len(g.cs))
	var right reply
	for i, c := range g.cs {
		r := &g.Rows[i]
		r.Name, r.Note = c.name, c.note
		if c.counted != "" && c.note == "" {
			r.Counted = b.count(c)
		}
		for k := 0; k < cmp.Or(c.warmups, 1) && r.Note == ""; k++ {
			a, err := b.once(c, k%2 == 1)
			if err != nil || a.status > 1 && a.status != 5 {
				r.Note = unable(a, err)
			}
			if r.Tests = a.tests; c.name == g.reference {
				right = a
			}
		}
	}
	began := time.Now()
	for g.Runs = 0; g.Runs < runs && (g.Runs == 0 || time.Since(began) < b.budget); g.Runs++ {
		for i, c := range g.cs {
			r := &g.Rows[i]
			if r.Note != "" {
				continue
			}
			if c.edit != nil && !c.plain { // first one that makes the test fail
				a, err := b.once(c, true)
				r.Checked++
				if err == nil && c.edit.right(a) {
					r.Right++
				}
			}
			a, err := b.once(c, false)
			if err != nil {
				r.Note = unable(a, err)
				continue
			}
			times[i] = append(times[i], a.ms)
			r.MemoryMB, r.Tests = max(r.MemoryMB, a.mb), a.tests
			check := c.check
			switch {
			case c.edit != nil:
				check = c.edit.right
			case check == nil && g.reference != "":
				check = right.same
			}
			if check != nil {
				if r.Checked++; check(a) {
					r.Right++
				}
			}
		}
	}
	for i, c := range g.cs {
		g.Rows[i].spread(times[i])
		for _, dir := range []string{c.dir, c.counted} {
			if len(c.stop) > 0 && dir != "" && c.note == "" {
				_, _ = b.once(contender{venv: c.venv, cmd: c.stop, dir: dir}, false)
			}
		}
	}
}

func (a reply) same(b reply) bool { return a.tests == b.tests && a.status == b.status }

// passes is a run of so many tests that pass, lists a listing of so many.
func passes(n int) func(reply) bool { return reply{tests: n}.same }
func lists(n int) func(reply) bool  { return func(a reply) bool { return a.tests == n } }

func (r *row) spread(values []float64) {
	if len(values) == 0 {
		return
	}
	slices.Sort(values)
	r.MedianMs, r.MinMs, r.MaxMs = values[len(values)/2], values[0], values[len(values)-1]
}

// unable says in short why a contender cannot be measured.
func unable(a reply, err error) string {
	if err != nil {
		return "does not run: " + plainText(err.Error())
	}
	text := strings.TrimSpace(a.text)
	return fmt.Sprintf("exit status %d: %s", a.status, plainText(text[strings.LastIndexByte(text, '\n')+1:]))
}

// once runs a contender; its edit makes the test fail, or pass.
func (b *bench) once(c contender, fail bool) (a reply, err error) {
	if c.before != nil {
		c.before()
	}
	if c.edit != nil {
		if err := c.edit.turn(fail); err != nil {
			return a, err
		}
		time.Sleep(c.wait)
	}
	cmd := exec.Command(c.cmd[0], c.cmd[1:]...)
	cmd.Dir, cmd.Env = c.dir, b.environment(c)
	// A file: a process that stays would keep a pipe open.
	out, err := os.Create(filepath.Join(b.dir, "output"))
	if err != nil {
		return a, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	err = cmd.Run()
	a.ms = float64(time.Since(began).Microseconds()) / 1e3
	time.Sleep(c.settle)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return a, err
	}
	a.status = cmd.ProcessState.ExitCode()
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		a.mb = float64(ru.Maxrss) / 1024
	}
	text, err := os.ReadFile(out.Name())
	a.text = string(ansi.ReplaceAll(text, nil))
	a.tests = reported(a.text)
	return a, err
}

var (
	ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
	// counts are those of pytest's last line, and of the peers'.
	counts = regexp.MustCompile(`(\d+) (passed|failed|skipped|xfailed|xpassed|errors?)\b`)
)

// reported reads the number of tests from the last line that counts outcomes;
// without one, of a listing, from its last line, else by its ids.
func reported(text string) int {
	lines := strings.Split(text, "\n")
	for _, line := range slices.Backward(lines) {
		line, _, _ = strings.Cut(line, " across ") // cito: chunks
		n := 0
		found := counts.FindAllStringSubmatch(line, -1)
		for _, m := range found {
			k, _ := strconv.Atoi(m[1])
			n += k
		}
		if found != nil {
			return n
		}
	}
	text = strings.TrimSpace(text)
	for _, w := range strings.Fields(text[strings.LastIndexByte(text, '\n')+1:]) {
		if n, err := strconv.Atoi(w); err == nil {
			return n
		}
	}
	n := 0
	for _, line := range lines {
		if strings.Contains(line, "::") {
			n++
		}
	}
	return n
}

// environment is the user's, with the contender's interpreter first.
func (b *bench) environment(c contender) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTEST_ADDOPTS", "CI", "PATH", "DX_PY_NO_DAEMON":
		default:
			env = append(env, kv)
		}
	}
	path := os.Getenv("PATH")
	if c.venv != "" {
		env = append(env, "VIRTUAL_ENV="+string(c.venv))
		path = filepath.Join(string(c.venv), "bin") + ":" + path
	}
	env = append(env, "PATH="+path, "DX_PY_RUNTIME_DIR="+b.runtime, "DX_PY_STATE_DIR="+filepath.Join(b.dir, "state"))
	return append(env, c.env...)
}

// count runs a contender once on the project whose tests count themselves.
func (b *bench) count(c contender) int {
	name := filepath.Join(c.counted, countFile)
	c.dir, c.before = c.counted, nil
	_ = os.Remove(name)
	_, _ = b.once(c, false)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("."))
}
