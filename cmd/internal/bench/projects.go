package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// generated makes a project by one of the generators in shared, once. Each
// program gets a copy of its own where what one leaves would disturb another.
func (b *bench) generated(name, generator string, args ...string) (string, error) {
	d := filepath.Join(b.dir, name)
	return d, made(d, func(d string) error {
		out, err := exec.Command(filepath.Join(b.shared, "conformance", generator), append([]string{d}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", generator, err, out)
		}
		return nil
	})
}

// made makes a folder whole, or not at all.
func made(dir string, make func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := make(part); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

func (b *bench) small(user string) (string, error) { return b.generated("p193-"+user, "gen-bench") }

// manyTests are 10,000 tests in 10 files.
func (b *bench) manyTests() (string, error) { return b.flat("many", 10, 1000) }

// flat makes files of trivial tests.
func (b *bench) flat(name string, files, tests int) (string, error) {
	d := filepath.Join(b.dir, name)
	return d, made(d, func(d string) error {
		for f := range files {
			if err := write(filepath.Join(d, "tests", fmt.Sprintf("test_%03d.py", f)), trivial(tests)); err != nil {
				return err
			}
		}
		return write(filepath.Join(d, "pyproject.toml"), "[tool.pytest.ini_options]\ntestpaths = [\"tests\"]\n")
	})
}

func trivial(tests int) string {
	var s strings.Builder
	for i := range tests {
		fmt.Fprintf(&s, "def test_%d():\n    assert %d == %d\n\n\n", i, i, i)
	}
	return s.String()
}

// hub makes a project whose conftest and 50 of 200 test files import one
// module.
func (b *bench) hub(user string) (string, error) {
	d := filepath.Join(b.dir, "hub-"+user)
	return d, made(d, func(d string) error {
		files := map[string]string{
			"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = [\"tests\"]\npythonpath = [\".\"]\n",
			"hub.py":         "def value():\n    return 7\n\n\ndef other():\n    return 8\n",
			"conftest.py":    "import pytest\n\nimport hub\n\n\n@pytest.fixture\ndef seven():\n    return hub.value()\n",
		}
		for f := range 200 {
			if f < 50 {
				files[fmt.Sprintf("tests/hub/test_%03d.py", f)] = "import hub\n\n\ndef test_seven(seven):\n    assert hub.value() == seven\n\n\n" + trivial(9)
			} else {
				files[fmt.Sprintf("tests/others/test_%03d.py", f)] = trivial(10)
			}
		}
		for name, text := range files {
			if err := write(filepath.Join(d, name), text); err != nil {
				return err
			}
		}
		return nil
	})
}

func write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// countFile is where tests that count themselves do so.
const countFile = "count"

var definition = regexp.MustCompile(`(?m)^( *)def test_\w*\(.*\):\n`)

// counting copies a project and has each test add a byte to a file: what has
// run is counted by nobody's report.
func (b *bench) counting(dir string) (string, error) {
	to := dir + "-counted"
	return to, made(to, func(part string) error {
		name := filepath.Join(to, countFile)
		return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				if err == nil && slices.Contains([]string{"__pycache__", ".pytest_cache"}, e.Name()) {
					return fs.SkipDir
				}
				return err
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Name(), "test_") {
				text = definition.ReplaceAllFunc(text, func(m []byte) []byte {
					indent := bytes.Repeat([]byte(" "), bytes.Index(m, []byte("def"))+4)
					return fmt.Appendf(slices.Clone(m), "%swith open(%q, 'ab', 0) as counted:\n%s    counted.write(b'.')\n", indent, name, indent)
				})
			}
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			return write(filepath.Join(part, rel), string(text))
		})
	})
}

// libtest is a copy of CPython's own tests.
func (b *bench) libtest() (string, error) {
	d := filepath.Join(b.dir, "libtest")
	return d, made(d, func(d string) error {
		out, err := exec.Command(newestPython(), "-c", "import test, os; print(os.path.dirname(test.__file__))").Output()
		if err != nil {
			return fmt.Errorf("finding CPython's Lib/test: %w", err)
		}
		return os.CopyFS(d, os.DirFS(strings.TrimSpace(string(out))))
	})
}

// suite installs a public suite, as the bench's own copy of it.
func (b *bench) suite(name string) (s suite, err error) {
	get, dir := filepath.Join(b.shared, "suites", "get-suites"), filepath.Join(b.dir, "suites")
	list, err := exec.Command(get, dir, "--json", name).Output()
	if err != nil {
		return s, fmt.Errorf("get-suites --json: %w", err)
	}
	if err := json.Unmarshal(list, &s); err != nil {
		return s, err
	}
	if out, err := exec.Command(get, dir, name).CombinedOutput(); err != nil {
		return s, fmt.Errorf("get-suites %s: %w\n%s", name, err, out)
	}
	return s, nil
}

func (s suite) venv() venv { return venv(filepath.Dir(filepath.Dir(s.Python))) }

// suiteNames are the public suites that pytest passes.
func (b *bench) suiteNames() (names []string, err error) {
	list, err := exec.Command(filepath.Join(b.shared, "suites", "get-suites"), filepath.Join(b.dir, "suites"), "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("get-suites --json: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s suite
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, err
		}
		if s.Run {
			names = append(names, s.Name)
		}
	}
	return names, nil
}
