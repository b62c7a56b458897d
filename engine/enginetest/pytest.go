// Package enginetest gives tests real pytests to compare with.
package enginetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Versions are the releases that the id rules are compared with.
var Versions = []string{"6.2.5", "7.4.4", "8.4.2", "9.2.0"}

var installing sync.Mutex

// Python returns the interpreter of a virtual environment with a release of
// pytest, made on first use in the user's cache folder and kept.
func Python(t testing.TB, version string) string {
	t.Helper()
	return environment(t, "pytest-"+version, "pytest=="+version)
}

// PythonWith returns the interpreter of an environment with a release of
// pytest on a release of Python such as "3.8"; false when this machine has no
// such Python, on PATH or among pyenv's.
func PythonWith(t testing.TB, python, version string) (string, bool) {
	t.Helper()
	base, ok := release(python)
	if !ok {
		return "", false
	}
	return environmentOf(t, base, "python-"+python+"-pytest-"+version, "pytest=="+version), true
}

// BareWith returns the interpreter of an environment without pytest on a
// release of Python; false when this machine has no such Python.
func BareWith(t testing.TB, python string) (string, bool) {
	t.Helper()
	base, ok := release(python)
	if !ok {
		return "", false
	}
	return environmentOf(t, base, "python-"+python+"-bare"), true
}

// release finds a release of Python on PATH or among pyenv's.
func release(python string) (string, bool) {
	base, err := exec.LookPath("python" + python)
	if err == nil && exec.Command(base, "-c", "pass").Run() == nil { // pyenv's shims stand for absent releases too
		return base, true
	}
	home, _ := os.UserHomeDir()
	found, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", python+".*", "bin", "python"))
	if len(found) == 0 {
		return "", false
	}
	return found[len(found)-1], true
}

// Own returns the interpreter of an environment whose packages a test may edit,
// each its own.
func Own(t testing.TB) string {
	t.Helper()
	return environment(t, "own-1", "pytest==9.2.0")
}

// Plugins returns the interpreter of an environment with the plugins that most
// projects have some of.
func Plugins(t testing.TB) string {
	t.Helper()
	return environment(t, "plugins-1", "pytest==9.0.2", "pytest-cov==7.1.0", "pytest-xdist==3.8.0", "pytest-mock==3.17.0",
		"pytest-asyncio==1.5.0", "anyio==4.16.0", "hypothesis==6.170.17", "pytest-timeout==2.4.0", "pytest-rerunfailures==16.7",
		"pytest-benchmark==5.3.1", "pytest-html==4.2.0", "pytest-json-report==1.5.0", "pytest-reportlog==1.0.0", "pytest-randomly==5.1.0")
}

// Reports returns the interpreters of environments with plugins that report, by
// pytest's release: the newest with and without pytest-xdist, an older one with
// it.
func Reports(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"9.2.0": environment(t, "reports-9.2.0-1", "pytest==9.2.0", "pytest-cov==7.1.0", "pytest-html==4.2.0", "pytest-json-report==1.5.0",
			"pytest-reportlog==1.0.0", "allure-pytest==2.15.0", "pytest-rerunfailures==16.7"),
		"9.2.0-xdist": environment(t, "reports-9.2.0-xdist-1", "pytest==9.2.0", "pytest-xdist==3.8.0", "pytest-cov==7.1.0", "pytest-html==4.2.0",
			"pytest-json-report==1.5.0", "pytest-reportlog==1.0.0", "allure-pytest==2.15.0", "pytest-rerunfailures==16.7"),
		"7.4.4-xdist": environment(t, "reports-7.4.4-xdist-1", "pytest==7.4.4", "pytest-xdist==3.5.0", "pytest-cov==4.1.0", "pytest-html==4.1.1",
			"pytest-json-report==1.5.0", "pytest-reportlog==0.4.0", "allure-pytest==2.13.5", "pytest-rerunfailures==13.0"),
	}
}

// Xdist returns the interpreter of an environment with pytest-xdist, for a
// release of pytest.
func Xdist(t testing.TB, version string) string {
	t.Helper()
	return environment(t, "xdist-"+version, "pytest=="+version, "pytest-xdist"+map[string]string{"7": "==3.5.0"}[version[:1]])
}

// Debugger returns the interpreter of an environment with debugpy, and with the
// plugins that get into its way, on a release of Python such as "3.8"; false when
// this machine has no such Python.
func Debugger(t testing.TB, python string) (string, bool) {
	t.Helper()
	base, ok := release(python)
	if !ok {
		return "", false
	}
	return environmentOf(t, base, "debugger-1-python-"+python, "pytest", "debugpy", "pytest-timeout", "pytest-cov", "pytest-xdist"), true
}

// BareDebugger returns the interpreter of an environment with debugpy and
// without pytest.
func BareDebugger(t testing.TB) string {
	t.Helper()
	return environment(t, "bare-debugger", "debugpy")
}

// Django returns the interpreter of an environment with Django and pytest's
// plugin for it.
func Django(t testing.TB) string {
	t.Helper()
	return environment(t, "django-1", "pytest==9.2.0", "pytest-xdist==3.8.0", "pytest-cov==7.1.0", "pytest-django==4.11.1", "django==5.2")
}

// Bare returns the interpreter of a virtual environment without pytest.
func Bare(t testing.TB) string {
	t.Helper()
	return environment(t, "bare")
}

// environment makes a virtual environment with some requirements.
func environment(t testing.TB, name string, requirements ...string) string {
	t.Helper()
	return environmentOf(t, "python3", name, requirements...)
}

func environmentOf(t testing.TB, base, name string, requirements ...string) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "dx-py-tests", name)
	python := filepath.Join(dir, "bin", "python")
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return python
	}
	// Several test binaries run at once: make it elsewhere, rename it. A
	// virtual environment's interpreter works from anywhere.
	tmp, err := os.MkdirTemp(mkdir(t, filepath.Join(cache, "dx-py-tests")), "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	run(t, base, "-m", "venv", tmp)
	if len(requirements) > 0 {
		run(t, filepath.Join(tmp, "bin", "python"), append([]string{"-m", "pip", "install", "-q", "--disable-pip-version-check"}, requirements...)...)
	}
	if err := os.WriteFile(filepath.Join(tmp, "done"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, e := os.Stat(done); e != nil { // not because another was faster
			t.Fatal(err)
		}
	}
	return python
}

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// Collected is one test as pytest lists it.
type Collected struct {
	ID   string
	Line int // 1-based, 0 for none
}

// plugin prints what pytest collected, behind a line that nothing else prints.
const plugin = `
import json, sys
def pytest_collection_finish(session):
    rows = [[i.nodeid, (i.location[1] or 0) + 1] for i in session.items]
    sys.__stdout__.write("\n@@collected@@" + json.dumps(rows) + "\n")
    sys.__stdout__.flush()
`

// Collect runs pytest --collect-only in a folder, as its console script does.
func Collect(t testing.TB, python, dir string, args ...string) []Collected {
	t.Helper()
	p := t.TempDir()
	if err := os.WriteFile(filepath.Join(p, "dx_collected.py"), []byte(plugin), 0o644); err != nil {
		t.Fatal(err)
	}
	code := "import sys; sys.path[0] = sys.argv.pop(1); import pytest; sys.exit(pytest.console_main())"
	cmd := exec.Command(python, append([]string{"-c", code, p, "-p", "dx_collected", "--collect-only", "-q", "-p", "no:cacheprovider"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	const mark = "\n@@collected@@"
	at := strings.LastIndex(string(out), mark)
	if at < 0 {
		t.Fatalf("pytest collected nothing: %v\n%s", err, out)
	}
	var rows [][2]any
	line := string(out[at+len(mark):])
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&rows); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	var list []Collected
	for _, r := range rows {
		list = append(list, Collected{r[0].(string), int(r[1].(float64))})
	}
	return list
}
