package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func bench(shared, dir, binary, out string, runs int) error {
	// The shell's own setting would keep pytest from caching its rewritten
	// modules.
	os.Unsetenv("PYTHONDONTWRITEBYTECODE")
	peers, err := installPeers(dir)
	if err != nil {
		return err
	}
	projects, err := makeProjects(shared, dir)
	if err != nil {
		return err
	}
	var rows []row
	for _, p := range projects {
		rs, err := p.measure(binary, peers, dir, runs)
		if err != nil {
			return err
		}
		rows = append(rows, rs...)
	}
	if err := report("discover", rows, check(rows), out); err != nil {
		return err
	}
	return benchRuns(projects[0], binary, peers, dir, out, runs)
}

// peers are the programs to compare with; an empty path is one that could not
// be installed.
type peers struct{ python, pytest, cito, citoNote string }

func installPeers(dir string) (p peers, err error) {
	venv := filepath.Join(dir, "peers")
	p.python = filepath.Join(venv, "bin", "python")
	p.pytest = filepath.Join(venv, "bin", "pytest")
	if _, err := os.Stat(p.pytest); err != nil {
		fmt.Println("installing the peers")
		if out, err := exec.Command(newestPython(), "-m", "venv", venv).CombinedOutput(); err != nil {
			return p, fmt.Errorf("making a virtual environment: %w\n%s", err, out)
		}
		if out, err := exec.Command(p.python, "-m", "pip", "install", "-q", "pytest==9.2.0").CombinedOutput(); err != nil {
			return p, fmt.Errorf("installing pytest: %w\n%s", err, out)
		}
	}
	cito := filepath.Join(venv, "bin", "cito")
	if _, err := os.Stat(cito); err != nil {
		if out, err := exec.Command(p.python, "-m", "pip", "install", "-q", "cito==0.3.*").CombinedOutput(); err != nil {
			p.citoNote = "not installed: " + strings.TrimSpace(string(out))
			return p, nil
		}
	}
	p.cito = cito
	return p, nil
}

// newestPython returns the newest Python that pyenv or PATH has.
func newestPython() string {
	for minor := 14; minor >= 10; minor-- {
		name := fmt.Sprintf("python3.%d", minor)
		if exec.Command(name, "-c", "pass").Run() == nil {
			return name
		}
		home, _ := os.UserHomeDir()
		found, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", fmt.Sprintf("3.%d.*", minor), "bin", "python"))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return "python3"
}

// project is a folder of tests.
type project struct {
	name, dir string
	pytest    bool // small enough to run pytest itself
	cold      bool
}

func makeProjects(shared, dir string) ([]project, error) {
	gen := func(name string, args ...string) (string, error) {
		d := filepath.Join(dir, name)
		if _, err := os.Stat(d); err == nil {
			return d, nil
		}
		cmd := exec.Command(filepath.Join(shared, "conformance", args[0]), append([]string{d}, args[1:]...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return d, fmt.Errorf("%s: %w\n%s", args[0], err, out)
		}
		return d, nil
	}
	small, err := gen("p193", "gen-bench")
	if err != nil {
		return nil, err
	}
	tree, err := gen("tree", "gen-tree", "--files", "10000", "--tests-per-file", "20")
	if err != nil {
		return nil, err
	}
	flat, err := gen("tree2", "gen-tree", "--files", "10000", "--tests-per-file", "2")
	if err != nil {
		return nil, err
	}
	lib := filepath.Join(dir, "libtest")
	if _, err := os.Stat(lib); err != nil {
		stdlib, err := exec.Command(newestPython(), "-c", "import test, os; print(os.path.dirname(test.__file__))").Output()
		if err != nil {
			return nil, fmt.Errorf("finding CPython's Lib/test: %w", err)
		}
		if err := os.CopyFS(lib, os.DirFS(strings.TrimSpace(string(stdlib)))); err != nil {
			return nil, err
		}
	}
	return []project{
		{"193 tests, 7 files", small, true, true}, {"CPython Lib/test", lib, false, true},
		{"200,000 tests, 10,000 files", tree, false, true}, {"20,000 tests, 10,000 files", flat, false, false},
	}, nil
}

// measure runs the contenders of a project in turns.
func (p project) measure(binary string, ps peers, dir string, runs int) ([]row, error) {
	// In a folder of their own: a name that comes or goes beside a project is
	// a change of what imports could find.
	state := filepath.Join(dir, "state", "warm")
	cold := filepath.Join(dir, "state", "cold")
	ours := func(state string) []string {
		return []string{binary, "--cli", "discover", "--count", "--python", ps.python, "--state-dir", state}
	}
	cs := []contender{{name: "dx-py-ls, warm", cmd: ours(state)}}
	if p.cold {
		cs = append(cs, contender{name: "dx-py-ls, cold", cmd: ours(cold), before: func() { os.RemoveAll(cold) }})
	}
	if ps.cito != "" {
		cs = append(cs, contender{name: "cito collect", cmd: []string{ps.cito, "collect", "--count"}})
	}
	if p.pytest {
		cs = append(cs, contender{name: "pytest --collect-only", cmd: []string{ps.pytest, "--collect-only", "-q"}})
	}
	rows, err := p.turns(cs, runs)
	if err != nil {
		return nil, err
	}
	// Edits by themselves: between the others they would make each of those a
	// run behind an edit.
	edited, err := p.turns([]contender{{name: "dx-py-ls, one file edited", cmd: ours(state), before: p.anEdit()}}, runs)
	if err != nil {
		return nil, err
	}
	rows = append(rows, edited...)
	if ps.cito == "" {
		rows = append(rows, row{Project: p.name, Name: "cito collect", Note: ps.citoNote})
	}
	return rows, nil
}

// anEdit returns what appends a comment to one test file of the project.
func (p project) anEdit() func() {
	files, _ := filepath.Glob(filepath.Join(p.dir, "test_a*.py"))
	if len(files) == 0 {
		files, _ = filepath.Glob(filepath.Join(p.dir, "tests", "*.py"))
	}
	if len(files) == 0 {
		files, _ = filepath.Glob(filepath.Join(p.dir, "tests", "group_00", "test_*.py"))
	}
	n := 0
	return func() {
		n++
		if f, err := os.OpenFile(files[len(files)-1], os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
			fmt.Fprintf(f, "# edit %d\n", n)
			f.Close()
		}
	}
}

// check works out the ratios that are promised.
func check(rows []row) []goal {
	var out []goal
	add := func(text, project, ours, theirs string, wanted float64) {
		out = append(out, ratio(rows, text, project, ours, theirs, wanted)...)
	}
	add("193 tests, warm: as fast as cito", "193 tests, 7 files", "dx-py-ls, warm", "cito collect", 1)
	add("193 tests, warm: 80 times faster than pytest --collect-only", "193 tests, 7 files", "dx-py-ls, warm", "pytest --collect-only", 80)
	add("Lib/test, cold: as fast as cito", "CPython Lib/test", "dx-py-ls, cold", "cito collect", 1)
	add("Lib/test, warm: 8 times faster than cito", "CPython Lib/test", "dx-py-ls, warm", "cito collect", 8)
	add("200,000 tests, warm: 4 times faster than cito", "200,000 tests, 10,000 files", "dx-py-ls, warm", "cito collect", 4)
	return out
}
