package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joho/godotenv"
	"github.com/pelletier/go-toml/v2"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Tool is our own configuration: the table [tool.dx-py] of the pyproject.toml
// in pytest's rootdir. The zero value is that of a project without one.
type Tool struct {
	Python     string              `toml:"python"`     // as --python
	Invocation string              `toml:"invocation"` // "pytest", "python -m pytest"; "" is the first
	Workers    any                 `toml:"workers"`    // a number, "auto"; nil when not said
	Timeout    float64             `toml:"timeout"`    // seconds a test may take; 0 for no limit
	Daemon     any                 `toml:"daemon"`     // true, false; nil when not said
	Warm       string              `toml:"warm"`       // collected, config, interpreter, off; "" is the first
	StateDir   string              `toml:"state_dir"`
	EnvFile    string              `toml:"env_file"`
	Always     []string            `toml:"always"`      // globs of tests that are always due
	RerunAll   []string            `toml:"rerun_all"`   // globs of files that reach all tests
	Depends    map[string][]string `toml:"depends"`     // files by glob, what depends on them by globs
	EnvDepends []string            `toml:"env_depends"` // environment variables that results depend on
	Profile    map[string]Profile  `toml:"profile"`
}

// Profile is a named set of arguments and variables.
type Profile struct {
	Args []string          `toml:"args"`
	Env  map[string]string `toml:"env"`
}

// ToolError is what is wrong with [tool.dx-py]: with pytest's own
// configuration nothing is.
type ToolError struct{ Message string }

func (e *ToolError) Error() string { return e.Message }

func wrong(format string, args ...any) error { return &ToolError{fmt.Sprintf(format, args...)} }

// keys of [tool.dx-py], for what an unknown one may have meant.
var toolKeys = []string{
	"python", "invocation", "workers", "timeout", "daemon", "warm", "state_dir", "env_file", "always", "rerun_all", "depends",
	"env_depends", "profile",
}

// LoadTool reads the table of a rootdir. Its error is a *ToolError that
// names file, line and key.
func LoadTool(root string) (Tool, error) {
	path := filepath.Join(root, "pyproject.toml")
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("dx-py")) {
		return Tool{}, nil // one that cannot be read is pytest's to tell
	}
	var doc struct {
		Tool struct {
			DxPy Tool `toml:"dx-py"`
		} `toml:"tool"`
	}
	err = toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&doc)
	t := doc.Tool.DxPy
	var unknown *toml.StrictMissingError
	var decoding *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			if key := e.Key(); len(key) > 2 && key[0] == "tool" && key[1] == "dx-py" {
				row, _ := e.Position()
				return t, unknownKey(path, row, key[2:])
			}
		}
	case errors.As(err, &decoding):
		key := decoding.Key()
		if len(key) < 3 || key[0] != "tool" || key[1] != "dx-py" {
			return Tool{}, nil // not our table
		}
		row, _ := decoding.Position()
		return t, wrong("%s:%d: [tool.dx-py] %s: %s", path, row, strings.Join(key[2:], "."), strings.TrimPrefix(decoding.Error(), "toml: "))
	}
	return t, t.check(path)
}

func unknownKey(path string, row int, key []string) error {
	known, what := toolKeys, key[0]
	if key[0] == "profile" && len(key) == 3 {
		known, what = []string{"args", "env"}, key[2]
	}
	return wrong("%s:%d: [tool.dx-py] has no key %s; the nearest is %s", path, row, strings.Join(key, "."), pytest.Nearest(what, known, 1)[0])
}

func (t *Tool) check(path string) error {
	bad := func(key string, value any, want string) error {
		return wrong("%s: [tool.dx-py] %s = %v: it has to be %s", path, key, value, want)
	}
	switch t.Invocation {
	case "", "pytest", "python -m pytest":
	default:
		return bad("invocation", t.Invocation, `"pytest" or "python -m pytest"`)
	}
	switch t.Warm {
	case "", "collected", "config", "interpreter", "off":
	default:
		return bad("warm", t.Warm, `"collected", "config", "interpreter" or "off"`)
	}
	switch w := t.Workers.(type) {
	case nil:
	case int64:
		if w < 0 || w > 1<<16 {
			return bad("workers", w, "a number of processes, or \"auto\"")
		}
	case string:
		if w != "auto" {
			return bad("workers", w, "a number of processes, or \"auto\"")
		}
	default:
		return bad("workers", w, "a number of processes, or \"auto\"")
	}
	if _, ok := t.Daemon.(bool); t.Daemon != nil && !ok {
		return bad("daemon", t.Daemon, "true or false")
	}
	if t.Timeout < 0 {
		return bad("timeout", t.Timeout, "seconds, 0 or more")
	}
	return nil
}

// Chosen is the profile of a name, and what a rootdir's configuration lacks
// where there is none.
func (t *Tool) Chosen(name, root string) (Profile, error) {
	p, ok := t.Profile[name]
	if !ok {
		names := strings.Join(slices.Sorted(maps.Keys(t.Profile)), ", ")
		if names == "" {
			names = "none"
		}
		return p, fmt.Errorf("[tool.dx-py.profile] of %s has %s", filepath.Join(root, "pyproject.toml"), names)
	}
	return p, nil
}

// FileVars are the variables of env_file, KEY=VALUE in order, without those that
// are set already: what the shell says goes before.
func (t *Tool) FileVars(root string, set func(name string) bool) (vars []string, err error) {
	if t.EnvFile == "" {
		return nil, nil
	}
	read, err := godotenv.Read(file.Abs(root, t.EnvFile))
	if err != nil {
		return nil, fmt.Errorf("reading env_file of [tool.dx-py]: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(read)) {
		if !set(k) {
			vars = append(vars, k+"="+read[k])
		}
	}
	return vars, nil
}

// Module reports whether pytest is called as python -m pytest.
func (t *Tool) Module() bool { return t.Invocation == "python -m pytest" }

// WorkerCount is the number of workers as -n has it, "" when none is said.
func (t *Tool) WorkerCount() string {
	if t.Workers == nil {
		return ""
	}
	return fmt.Sprint(t.Workers)
}

// Limit is how long a test may take, 0 for ever.
func (t *Tool) Limit() time.Duration { return time.Duration(t.Timeout * float64(time.Second)) }
