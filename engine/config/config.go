// Package config reads pytest's configuration as the installed pytest does:
// which file counts, what is the rootdir, what the options and ini keys say
// that change which tests there are.
package config

import (
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Input is everything from outside of the files that decides about the
// configuration.
type Input struct {
	Dir     string   // working directory, absolute and clean
	Args    []string // pytest's command line
	AddOpts string   // PYTEST_ADDOPTS
	Plugins string   // PYTEST_PLUGINS
	// NoAutoload is PYTEST_DISABLE_PLUGIN_AUTOLOAD.
	NoAutoload bool
}

// Config is the configuration of one pytest session. It is immutable.
type Config struct {
	Options
	Version pytest.Version
	Dir     string // working directory
	Root    string // rootdir
	IniPath string // the configuration file, "" for none
	// ConfCutDir is where conftest.py files begin to count, absolute.
	ConfCutDir string

	PythonFiles, PythonClasses, PythonFunctions []string
	NoRecurseDirs                               []string
	UseFixtures                                 []string
	PythonPath                                  []string // absolute
	CollectImported                             bool
	NamespacePackages                           bool
	NoEscape                                    bool // disable_test_id_escaping_...
	StrictIDs                                   bool
	LongStr                                     string // short, legacy, sha256, disallow
	EmptySet                                    string // skip, xfail, fail_at_collect
	DoctestEncoding                             string
	AnyioAuto                                   bool // anyio_mode of anyio's plugin: it runs all coroutines
	// FromTestPaths says that Args are the testpaths' or the working directory.
	FromTestPaths bool
	// Files are the configuration files that were looked at.
	Files []string
	Tool  Tool // [tool.dx-py]
}

// Load determines the configuration by the rules of a pytest version. Its
// error is a *UsageError, with pytest's text, or a *ToolError.
func Load(in Input, version pytest.Version) (*Config, error) {
	l := &files{version: version, text: map[string][]byte{}, tomls: map[string]map[string]any{}}
	env, err := splitWords(in.AddOpts)
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(env), in.Args...)
	if version.AtLeast(8, 2) {
		if args, err = expandFiles(in.Dir, args); err != nil {
			return nil, err
		}
	}
	var first Options
	if err := first.parse(args); err != nil {
		return nil, err
	}
	s, err := l.determineSetup(&first, in.Dir)
	if err != nil {
		return nil, err
	}
	c := &Config{Version: version, Dir: in.Dir, Root: s.root, IniPath: s.inipath}
	ini := reader{ini: s.ini, c: c}
	ini.override(first.Override)
	addopts := ini.words("addopts", nil)
	if ini.err != nil {
		return nil, ini.err
	}
	n := len(addopts) + len(args) - len(in.Args)
	args = append(addopts, args...)
	if err := c.Options.parse(args); err != nil {
		return nil, err
	}
	c.bind(args, n)
	if version.AtLeast(9, 1) {
		ini.override(c.Override)
	}
	if err := c.read(&ini); err != nil {
		return nil, err
	}
	c.NoAutoload = c.NoAutoload || in.NoAutoload
	for _, p := range strings.Split(in.Plugins, ",") {
		if p = strings.TrimSpace(p); p != "" {
			c.Options.Plugins = append(c.Options.Plugins, p)
		}
	}
	c.decideArgs(ini.words("testpaths", nil))
	for p := range l.text {
		c.Files = append(c.Files, p)
	}
	sort.Strings(c.Files)
	if c.Tool, err = LoadTool(c.Root); err != nil {
		return nil, err
	}
	return c, ini.err
}

// bind takes words of addopts for those of the options before them, where
// these are of a conftest or a plugin, and nothing is there of that name. n is
// how many of the arguments are not the caller's.
func (c *Config) bind(args []string, n int) {
	for k := len(c.at) - 1; k >= 0; k-- {
		i := c.at[k]
		if i == 0 || i >= n || !slices.Contains(c.Unknown, args[i-1]) || strings.Contains(args[i-1], "=") {
			continue
		}
		if path, _, _ := strings.Cut(args[i], "::"); !file.Exists(file.Abs(c.Dir, path)) {
			c.Args, c.at = slices.Delete(c.Args, k, k+1), slices.Delete(c.at, k, k+1)
		}
	}
}

// read takes the ini values over.
func (c *Config) read(ini *reader) error {
	c.PythonFiles = ini.words("python_files", []string{"test_*.py", "*_test.py"})
	c.PythonClasses = ini.words("python_classes", []string{"Test"})
	c.PythonFunctions = ini.words("python_functions", []string{"test"})
	c.NoRecurseDirs = ini.words("norecursedirs", []string{"*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}"})
	c.UseFixtures = ini.words("usefixtures", nil)
	c.CollectImported = ini.boolean("collect_imported_tests", true) || !c.Version.AtLeast(8, 4)
	c.NamespacePackages = ini.boolean("consider_namespace_packages", false) && c.Version.AtLeast(8, 1)
	c.NoEscape = ini.boolean("disable_test_id_escaping_and_forfeit_all_rights_to_community_support", false)
	strict := ini.boolean("strict", false)
	c.StrictIDs = ini.boolean("strict_parametrization_ids", strict) && c.Version.AtLeast(9, 0)
	c.StrictMarkers = c.StrictMarkers || ini.boolean("strict_markers", strict)
	c.LongStr = ini.text("parametrize_long_str_id_strategy", "short")
	if !c.Version.AtLeast(9, 2) {
		c.LongStr = "legacy"
	}
	c.EmptySet = ini.text("empty_parameter_set_mark", "skip")
	c.AnyioAuto = ini.text("anyio_mode", "strict") == "auto"
	c.DoctestEncoding = ini.text("doctest_encoding", "utf-8")
	if c.Version.AtLeast(7, 0) {
		base := c.Dir
		if c.IniPath != "" {
			base = filepath.Dir(c.IniPath)
		}
		for _, p := range ini.words("pythonpath", nil) {
			c.PythonPath = append(c.PythonPath, file.Abs(base, p))
		}
	}
	if c.ImportMode == "" {
		c.ImportMode = "prepend"
	}
	switch c.ImportMode {
	case "prepend", "append", "importlib":
	default:
		return usage("argument --import-mode: invalid choice: '%s' (choose from prepend, append, importlib)", c.ImportMode)
	}
	switch {
	case c.Options.ConfCutDir != "":
		c.ConfCutDir = file.Abs(c.Dir, c.Options.ConfCutDir)
		if !file.IsDir(c.ConfCutDir) {
			return usage("--confcutdir must be a directory, given: %s", c.Options.ConfCutDir)
		}
	case c.IniPath != "":
		c.ConfCutDir = filepath.Dir(c.IniPath)
	case c.Version.AtLeast(7, 4):
		c.ConfCutDir = c.Root
	default:
		c.ConfCutDir = "/"
	}
	return ini.err
}

// decideArgs is Config._decide_args: testpaths count only without arguments
// and in the rootdir.
func (c *Config) decideArgs(testpaths []string) {
	if len(c.Args) > 0 {
		return
	}
	c.FromTestPaths = true
	if c.Dir == c.Root {
		for _, p := range testpaths {
			if c.PyArgs || !c.Version.AtLeast(7, 2) {
				c.Args = append(c.Args, p)
				continue
			}
			c.Args = append(c.Args, glob(c.Dir, p)...)
		}
	}
	if len(c.Args) == 0 {
		c.Args = []string{c.Dir}
	}
}

// glob is sorted(glob.iglob(pattern, recursive=True)) in dir.
func glob(dir, pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		if file.Exists(file.Abs(dir, pattern)) {
			return []string{pattern}
		}
		return nil
	}
	// Python's glob knows no braces, and hides names with a leading dot.
	escaped := strings.NewReplacer("{", `\{`, "}", `\}`).Replace(pattern)
	matches, err := doublestar.FilepathGlob(file.Abs(dir, escaped), doublestar.WithNoHidden())
	if err != nil {
		return nil
	}
	if !filepath.IsAbs(pattern) {
		for i, m := range matches {
			if r, ok := file.Rel(dir, m); ok {
				matches[i] = r
			}
		}
	}
	sort.Strings(matches)
	return matches
}

// expandFiles replaces @FILE by the lines of the file (argparse's
// fromfile_prefix_chars, pytest 8.2).
func expandFiles(dir string, args []string) ([]string, error) {
	var out []string
	for _, a := range args {
		if !strings.HasPrefix(a, "@") || len(a) == 1 {
			out = append(out, a)
			continue
		}
		buf, _, err := file.Read(file.Abs(dir, a[1:]), nil)
		if err != nil {
			return nil, usage("can't open '%s': %v", a[1:], err)
		}
		for _, line := range strings.Split(strings.TrimSuffix(string(buf), "\n"), "\n") {
			out = append(out, strings.TrimSuffix(line, "\r"))
		}
	}
	return out, nil
}

// reader takes typed values out of an ini file and keeps the first error.
type reader struct {
	ini inifile
	c   *Config
	err error
}

func (r *reader) override(list []string) {
	for _, kv := range list {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			r.fail("-o/--override-ini expects option=value style (got: '%s').", kv)
			return
		}
		r.ini[k] = value{v: v}
	}
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = usage(format, args...)
	}
}

// words is a value of pytest's type "args" or "paths".
func (r *reader) words(key string, def []string) []string {
	v, ok := r.ini[key]
	if !ok {
		return def
	}
	switch x := v.v.(type) {
	case string:
		if !v.toml {
			w, err := splitWords(x)
			if err != nil {
				r.fail("%s: config option '%s': %v", r.c.IniPath, key, err)
			}
			return w
		}
	case []string:
		return x
	case []any:
		var out []string
		for _, e := range x {
			s, ok := e.(string)
			if !ok {
				r.fail("%s: config option '%s' expects a list of strings, got: %v", r.c.IniPath, key, x)
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	r.fail("%s: config option '%s' expects a list, got %T: %v", r.c.IniPath, key, v.v, v.v)
	return nil
}

func (r *reader) boolean(key string, def bool) bool {
	v, ok := r.ini[key]
	if !ok {
		return def
	}
	switch x := v.v.(type) {
	case bool:
		return x
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "y", "yes", "t", "true", "on", "1":
			return true
		case "n", "no", "f", "false", "off", "0":
			return false
		}
	}
	r.fail("%s: config option '%s' expects a bool, got: %v", r.c.IniPath, key, v.v)
	return def
}

func (r *reader) text(key, def string) string {
	v, ok := r.ini[key]
	if !ok {
		return def
	}
	switch x := v.v.(type) {
	case string:
		if x == "" {
			return def
		}
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	}
	r.fail("%s: config option '%s' expects a string, got: %v", r.c.IniPath, key, v.v)
	return def
}
