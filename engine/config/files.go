package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// UsageError is what pytest ends with exit status 4 for: a configuration or
// command line that cannot be used.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// value is one ini value: a string or list of strings (ini mode), or any TOML
// value (toml mode, pytest 9's [tool.pytest] and pytest.toml).
type value struct {
	v    any
	toml bool
}

type inifile map[string]value

// loader reads one kind of configuration file; nil without an error means
// that the file has nothing for pytest and does not count.
type loader func(l *files, path string) (inifile, error)

// files reads configuration files, each once.
type files struct {
	version pytest.Version
	text    map[string][]byte
	tomls   map[string]map[string]any
}

func (l *files) read(path string) ([]byte, error) {
	if b, ok := l.text[path]; ok {
		return b, nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		l.text[path] = b
	}
	return b, err
}

type named struct {
	name string
	load loader
}

// names are the files that pytest looks for in a directory, the first that
// counts wins (_pytest/config/findpaths.py; 7.2 and 9.0 added names).
func (l *files) names() []named {
	all := []named{
		{"pytest.toml", pytestToml}, {".pytest.toml", pytestToml}, {"pytest.ini", pytestIni}, {".pytest.ini", dotPytestIni},
		{"pyproject.toml", pyproject}, {"tox.ini", toxIni}, {"setup.cfg", setupCfg},
	}
	var out []named
	for _, n := range all {
		if strings.HasSuffix(n.name, "pytest.toml") && !l.version.AtLeast(9, 0) || n.name == ".pytest.ini" && !l.version.AtLeast(7, 2) {
			continue
		}
		out = append(out, n)
	}
	return out
}

func (l *files) loaderFor(path string) loader {
	base := filepath.Base(path)
	for _, n := range l.names() {
		if n.name == base {
			return n.load
		}
	}
	switch filepath.Ext(path) {
	case ".ini":
		return toxIni
	case ".cfg":
		return setupCfg
	case ".toml":
		return customToml
	}
	return nil
}

func section(l *files, path, name string) (inifile, bool, error) {
	text, err := l.read(path)
	if err != nil {
		return nil, false, usage("%s: %v", path, err)
	}
	sections, err := parseIni(path, string(text))
	if err != nil {
		return nil, false, err
	}
	s, ok := sections[name]
	out := inifile{}
	for k, v := range s {
		out[k] = value{v: v}
	}
	return out, ok, nil
}

func pytestIni(l *files, path string) (inifile, error) {
	ini, _, err := section(l, path, "pytest")
	return ini, err
}

func dotPytestIni(l *files, path string) (inifile, error) {
	if l.version.AtLeast(9, 0) {
		return pytestIni(l, path)
	}
	return toxIni(l, path)
}

func toxIni(l *files, path string) (inifile, error) {
	ini, ok, err := section(l, path, "pytest")
	if !ok {
		return nil, err
	}
	return ini, err
}

func setupCfg(l *files, path string) (inifile, error) {
	ini, ok, err := section(l, path, "tool:pytest")
	if ok || err != nil {
		return ini, err
	}
	if _, old, _ := section(l, path, "pytest"); old {
		return nil, usage("[pytest] section in setup.cfg files is no longer supported, change to [tool:pytest] instead.")
	}
	return nil, nil
}

// toml decodes a document once.
func (l *files) toml(path string) (map[string]any, error) {
	if doc, ok := l.tomls[path]; ok {
		return doc, nil
	}
	text, err := l.read(path)
	if err != nil {
		return nil, usage("%s: %v", path, err)
	}
	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		var de *toml.DecodeError
		if errors.As(err, &de) {
			row, col := de.Position()
			return nil, usage("%s: %v (at line %d, column %d)", path, err, row, col)
		}
		return nil, usage("%s: %v", path, err)
	}
	l.tomls[path] = doc
	return doc, nil
}

func native(table map[string]any) inifile {
	out := inifile{}
	for k, v := range table {
		if k != "ini_options" {
			out[k] = value{v, true}
		}
	}
	return out
}

func pytestToml(l *files, path string) (inifile, error) {
	doc, err := l.toml(path)
	if err != nil {
		return nil, err
	}
	if t, ok := doc["pytest"].(map[string]any); ok {
		return native(t), nil
	}
	if l.version.AtLeast(9, 2) {
		var top []string
		for k, v := range doc {
			if _, table := v.(map[string]any); !table {
				top = append(top, k)
			}
		}
		if len(top) > 0 {
			return nil, usage("%s: pytest configuration must be under a [pytest] table (found top-level options: %s)", path, strings.Join(top, ", "))
		}
	}
	return inifile{}, nil
}

// pyproject reads [tool.pytest] and [tool.pytest.ini_options].
func pyproject(l *files, path string) (inifile, error) {
	doc, err := l.toml(path)
	if err != nil {
		return nil, err
	}
	tool, _ := doc["tool"].(map[string]any)
	table, _ := tool["pytest"].(map[string]any)
	options, has := table["ini_options"].(map[string]any)
	if l.version.AtLeast(9, 0) {
		if t := native(table); len(t) > 0 {
			if len(options) > 0 {
				return nil, usage("%s: Cannot use both [tool.pytest] (native TOML types) and [tool.pytest.ini_options] (string-based INI format) simultaneously. "+
					"Please use [tool.pytest] with native TOML types (recommended) or [tool.pytest.ini_options] for backwards compatibility.", path)
			}
			return t, nil
		}
	}
	if !has {
		return nil, nil
	}
	out := inifile{}
	for k, v := range options {
		out[k] = value{v: scalar(v)}
	}
	return out, nil
}

// scalar is str(v) of what is no list.
func scalar(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			out = append(out, fmt.Sprint(scalar(x)))
		}
		return out
	case bool:
		if v {
			return "True"
		}
		return "False"
	}
	return fmt.Sprint(v)
}

func customToml(l *files, path string) (inifile, error) {
	ini, err := pyproject(l, path)
	if ini != nil || err != nil || !l.version.AtLeast(9, 2) {
		return ini, err
	}
	return pytestToml(l, path)
}

// parseIni is iniconfig: sections of keys; lines that begin with white space
// go on with the value above; only whole lines are comments.
func parseIni(path, text string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	var sec map[string]string
	last := ""
	text = strings.TrimPrefix(text, "\ufeff")
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		fail := func(what string) error { return usage("%s:%d: %s", path, i+1, what) }
		if t := strings.TrimSpace(line); t == "" || t[0] == '#' || t[0] == ';' {
			continue
		}
		line = strings.TrimRight(line, " \t\r\f\v")
		if line[0] == '[' {
			head := line
			for _, c := range "#;" {
				head, _, _ = strings.Cut(head, string(c))
				head = strings.TrimRight(head, " \t")
			}
			if strings.HasSuffix(head, "]") {
				name := head[1 : len(head)-1]
				if name == "" {
					return nil, fail("empty section name")
				}
				if _, dup := out[name]; dup {
					return nil, fail(fmt.Sprintf("duplicate section '%s'", name))
				}
				sec, last = map[string]string{}, ""
				out[name] = sec
				continue
			}
		}
		if line[0] == '[' || strings.ContainsRune(" \t\f\v", rune(line[0])) {
			if last == "" {
				return nil, fail("unexpected value continuation")
			}
			if v := strings.TrimSpace(line); sec[last] == "" {
				sec[last] = v
			} else {
				sec[last] += "\n" + v
			}
			continue
		}
		name, v, ok := strings.Cut(line, "=")
		if !ok || strings.Contains(name, ":") {
			if name, v, ok = strings.Cut(line, ":"); !ok {
				return nil, fail(fmt.Sprintf("unexpected line: '%s'", line))
			}
		}
		if sec == nil {
			return nil, fail("no section header defined")
		}
		last = strings.TrimSpace(name)
		if _, dup := sec[last]; dup {
			return nil, fail(fmt.Sprintf("duplicate name '%s'", last))
		}
		sec[last] = strings.TrimSpace(v)
	}
	return out, nil
}

// setup is what the files and the command line say about where things are.
type setup struct {
	root, inipath string
	ini           inifile
}

// determineSetup is findpaths.determine_setup.
func (l *files) determineSetup(o *Options, invocation string) (s setup, err error) {
	var dirs []string
	for _, a := range o.Args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		p, _, _ := strings.Cut(a, "::")
		p = file.Abs(invocation, p)
		if !file.Exists(p) {
			continue
		}
		if !file.IsDir(p) {
			p = filepath.Dir(p)
		}
		dirs = append(dirs, p)
	}
	switch {
	case o.ConfigFile != "":
		if s, err = l.explicitConfig(o, invocation, dirs); err != nil {
			return s, err
		}
	default:
		ancestor := commonAncestor(invocation, dirs)
		if s, err = l.locate([]string{ancestor}); err != nil {
			return s, err
		}
		if s.root == "" && o.RootDir == "" {
			if s.root = setupPy(ancestor); s.root != "" {
				break
			}
			if len(dirs) != 1 || dirs[0] != ancestor {
				at := dirs
				if len(at) == 0 {
					at = []string{invocation}
				}
				if s, err = l.locate(at); err != nil {
					return s, err
				}
			}
			if s.root == "" {
				if s.root = commonAncestor(invocation, []string{invocation, ancestor}); s.root == "/" {
					s.root = ancestor
				}
			}
		}
	}
	if o.RootDir != "" {
		s.root = file.Abs(invocation, os.ExpandEnv(o.RootDir))
		if !file.IsDir(s.root) {
			return s, usage("Directory '%s' not found. Check your '--rootdir' option.", s.root)
		}
	}
	if s.ini == nil {
		s.ini = inifile{}
	}
	return s, nil
}

func setupPy(dir string) string {
	for _, d := range append([]string{dir}, file.Parents(dir)...) {
		if file.IsRegular(filepath.Join(d, "setup.py")) {
			return d
		}
	}
	return ""
}

func (l *files) explicitConfig(o *Options, invocation string, dirs []string) (s setup, err error) {
	p := file.Abs(invocation, o.ConfigFile)
	st, statErr := os.Stat(p)
	if statErr != nil {
		return s, usage("Config file '%s' not found. Check your '-c/--config-file' option.", p)
	}
	if st.IsDir() {
		return s, usage("Config file '%s' is a directory. Check your '-c/--config-file' option.", p)
	}
	s.inipath = p
	if load := l.loaderFor(p); load != nil {
		if s.ini, err = load(l, p); err != nil {
			return s, err
		}
	} else if st.Mode().IsRegular() && l.version.AtLeast(9, 2) {
		return s, usage("Config file '%s' has an unsupported format. Supported extensions are: .cfg, .ini, .toml.", p)
	}
	switch {
	case o.RootDir != "":
	case !l.version.AtLeast(7, 0), !st.Mode().IsRegular() && l.version.AtLeast(9, 2):
		if s.root = commonAncestor(invocation, dirs); s.root == "/" {
			s.root = invocation
		}
	default:
		s.root = filepath.Dir(p)
	}
	return s, nil
}

// locate looks for the first file that counts in the directories and their
// parents.
func (l *files) locate(dirs []string) (setup, error) {
	found := ""
	names := l.names()
	for _, d := range dirs {
		for _, base := range append([]string{d}, file.Parents(d)...) {
			for _, n := range names {
				p := filepath.Join(base, n.name)
				if !file.IsRegular(p) {
					continue
				}
				if n.name == "pyproject.toml" && found == "" {
					found = p
				}
				ini, err := n.load(l, p)
				if err != nil {
					return setup{}, err
				}
				if ini != nil {
					return setup{base, p, ini}, nil
				}
			}
		}
	}
	if found != "" && l.version.AtLeast(8, 1) {
		return setup{filepath.Dir(found), found, inifile{}}, nil
	}
	return setup{}, nil
}

func commonAncestor(invocation string, paths []string) string {
	common := ""
	for _, p := range paths {
		if common == "" {
			common = p
			continue
		}
		for {
			if _, in := file.Rel(common, p); in {
				break
			}
			up := filepath.Dir(common)
			if up == common {
				break
			}
			common = up
		}
	}
	if common == "" {
		return invocation
	}
	return common
}
