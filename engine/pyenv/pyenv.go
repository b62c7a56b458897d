// Package pyenv finds the Python interpreter and what is installed for it,
// without running Python: its version, standard library, sys.path, editable
// installs, pytest and pytest's plugins.
package pyenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Env is one Python installation as a test run sees it. It is immutable.
type Env struct {
	Python     string            // the executable; "" when none was found
	Version    pytest.Version    // of Python
	MicroKnown bool              // Version.Patch is known
	Platform   string            // sys.platform
	Stdlib     string            // folder of os.py, "" when not found
	Path       []string          // sys.path behind what the run adds: PYTHONPATH, standard library, site-packages, .pth files
	Editable   map[string]string // top-level module -> its file or folder, from editable installs' finders
	Sites      []string          // site-packages folders
	Dists      map[string]string // normalized name of a distribution -> version
	Plugins    []Plugin          // the entry points of group pytest11, sorted by distribution
	Pytest     pytest.Version
	HasPytest  bool
	Tried      []string // what was looked at before Python was found
}

// Plugin is a pytest plugin that autoload imports.
type Plugin struct {
	Name   string // of the entry point
	Module string // dotted
	Dist   string
}

// Installed reports whether a file belongs to the installation and not to the
// project of a rootdir: it is in a site-packages folder or in the standard
// library, unless the project is in there itself.
func (e *Env) Installed(root, path string) bool {
	for _, s := range e.Sites {
		if _, in := file.Rel(s, path); in {
			return true
		}
	}
	if e.Stdlib == "" {
		return false
	}
	if _, in := file.Rel(e.Stdlib, path); !in {
		return false
	}
	_, in := file.Rel(e.Stdlib, root)
	return !in
}

// Input says where to look.
type Input struct {
	Python string            // what the user named, "" for none
	Root   string            // folder that may hold .venv or venv
	Env    map[string]string // VIRTUAL_ENV, PATH, PYTHONPATH, PYENV_*, HOME
}

// NoPytest says that there is no pytest, and what to do.
func (e *Env) NoPytest() string {
	return fmt.Sprintf("%s has no pytest; install it with: %s -m pip install pytest", e.Python, e.Python)
}

// ErrNone says that there is no usable interpreter; the message lists what was
// tried.
var ErrNone = errors.New("no Python 3.8 or newer found")

// Find returns the environment of the first interpreter that exists: what the
// user named, $VIRTUAL_ENV, .venv or venv in the root, python3 on PATH. An
// interpreter that the user named must exist. Without any, the Env has only a
// Platform, and Tried.
func Find(in Input) (*Env, error) {
	e := &Env{Platform: platform, Editable: map[string]string{}, Dists: map[string]string{}}
	if in.Python != "" {
		exe := lookPath(file.Abs(in.Root, in.Python), in.Python, in.Env["PATH"])
		if exe == "" {
			return nil, fmt.Errorf("%w: --python %s does not exist", ErrNone, in.Python)
		}
		return e, e.load(exe, in)
	}
	var candidates []string
	if v := in.Env["VIRTUAL_ENV"]; v != "" {
		candidates = append(candidates, filepath.Join(v, "bin", "python"))
	}
	for _, d := range []string{".venv", "venv"} {
		candidates = append(candidates, filepath.Join(in.Root, d, "bin", "python"))
	}
	for _, name := range []string{"python3", "python"} {
		if p := lookPath("", name, in.Env["PATH"]); p != "" {
			candidates = append(candidates, p)
		}
	}
	for _, c := range candidates {
		e.Tried = append(e.Tried, c)
		if !file.IsRegular(c) {
			continue
		}
		if err := e.load(c, in); err == nil {
			return e, nil
		}
		e.Python, e.Version = "", pytest.Version{}
	}
	return e, nil
}

func lookPath(abs, name, path string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		if file.IsDir(abs) { // the folder of a virtual environment
			abs = filepath.Join(abs, "bin", "python")
		}
		if file.IsRegular(abs) {
			return abs
		}
		return ""
	}
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(d, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// load fills e for an executable.
func (e *Env) load(exe string, in Input) error {
	e.Python = exe
	prefix := filepath.Dir(filepath.Dir(exe))
	base := ""
	system := true
	if cfg := readConfig(filepath.Join(prefix, "pyvenv.cfg")); cfg != nil {
		base = filepath.Dir(cfg["home"])
		v := cfg["version"]
		if v == "" {
			v = cfg["version_info"]
		}
		e.Version, e.MicroKnown = pytest.ParseVersion(v)
		system = strings.EqualFold(cfg["include-system-site-packages"], "true")
	} else {
		real := exe
		if shim := pyenvShim(exe, in); shim != "" {
			real = shim
		}
		if r, err := filepath.EvalSymlinks(real); err == nil {
			real = r
		}
		base = filepath.Dir(filepath.Dir(real))
		prefix = base
		if v := exeVersion().FindString(filepath.Base(real)); v != "" {
			e.Version, _ = pytest.ParseVersion(v)
		}
	}
	if err := e.findStdlib(base); err != nil {
		return err
	}
	e.Path = nil
	for _, p := range filepath.SplitList(in.Env["PYTHONPATH"]) {
		if p != "" {
			e.Path = append(e.Path, file.Abs(in.Root, p))
		}
	}
	e.Path = append(e.Path, e.Stdlib, filepath.Join(e.Stdlib, "lib-dynload"))
	short := fmt.Sprintf("python3.%d", e.Version.Minor)
	e.site(filepath.Join(prefix, "lib", short, "site-packages"))
	if prefix == base || system {
		if prefix != base {
			e.site(filepath.Join(base, "lib", short, "site-packages"))
		}
		if home := in.Env["HOME"]; home != "" {
			e.site(filepath.Join(home, ".local", "lib", short, "site-packages"))
		}
		e.site(filepath.Join("/usr/local/lib", short, "dist-packages"))
		if base == "/usr" {
			e.site("/usr/lib/python3/dist-packages")
		}
	}
	sort.SliceStable(e.Plugins, func(i, j int) bool { return e.Plugins[i].Dist < e.Plugins[j].Dist })
	return nil
}

var exeVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\d+\.\d+`) })

// findStdlib looks for lib/python3.X under the installation.
func (e *Env) findStdlib(base string) error {
	lib := filepath.Join(base, "lib")
	if e.Version.Major == 0 {
		es, _ := os.ReadDir(lib)
		for _, d := range es {
			if v, ok := strings.CutPrefix(d.Name(), "python3."); ok && file.IsRegular(filepath.Join(lib, d.Name(), "os.py")) {
				if n, err := strconv.Atoi(v); err == nil {
					e.Version = pytest.Version{Major: 3, Minor: n}
				}
			}
		}
	}
	dir := filepath.Join(lib, fmt.Sprintf("python%d.%d", e.Version.Major, e.Version.Minor))
	if e.Version.Major != 3 || e.Version.Minor < 8 || !file.IsRegular(filepath.Join(dir, "os.py")) {
		return fmt.Errorf("%w: %s is of Python %d.%d, or its standard library is not in %s", ErrNone, e.Python, e.Version.Major, e.Version.Minor, dir)
	}
	e.Stdlib = dir
	if !e.MicroKnown {
		e.patchLevel(base)
	}
	return nil
}

var patchLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^#define PY_VERSION\s+"(\d+\.\d+\.\d+)`)
})

// patchLevel reads the micro version from the header that builds install.
func (e *Env) patchLevel(base string) {
	text, err := os.ReadFile(filepath.Join(base, "include", fmt.Sprintf("python3.%d", e.Version.Minor), "patchlevel.h"))
	if err != nil {
		return
	}
	if m := patchLine().FindSubmatch(text); m != nil {
		if v, ok := pytest.ParseVersion(string(m[1])); ok && v.Minor == e.Version.Minor {
			e.Version, e.MicroKnown = v, true
		}
	}
}

// pyenvShim returns the interpreter behind a pyenv shim, a shell script.
func pyenvShim(exe string, in Input) string {
	dir := filepath.Dir(exe)
	if filepath.Base(dir) != "shims" {
		return ""
	}
	root := filepath.Dir(dir)
	version := strings.Split(in.Env["PYENV_VERSION"], ":")[0]
	if version == "" {
		for _, d := range append([]string{in.Root}, file.Parents(in.Root)...) {
			if b, err := os.ReadFile(filepath.Join(d, ".python-version")); err == nil {
				version, _, _ = strings.Cut(strings.TrimSpace(string(b)), "\n")
				break
			}
		}
	}
	if version == "" {
		b, _ := os.ReadFile(filepath.Join(root, "version"))
		version, _, _ = strings.Cut(strings.TrimSpace(string(b)), "\n")
	}
	p := filepath.Join(root, "versions", strings.TrimSpace(version), "bin", "python3")
	if version == "" || !file.IsRegular(p) {
		return ""
	}
	return p
}

// readConfig reads pyvenv.cfg; nil when there is none.
func readConfig(path string) map[string]string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	m := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			m[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return m
}

// site adds a site-packages folder: its .pth files, distributions and plugins.
func (e *Env) site(dir string) {
	es, err := file.List(dir, ".pth")
	if err != nil {
		return
	}
	e.Path = append(e.Path, dir)
	e.Sites = append(e.Sites, dir)
	for _, d := range es {
		switch {
		case strings.HasSuffix(d.Name, ".pth"):
			e.pth(dir, d.Name)
		case strings.HasSuffix(d.Name, ".dist-info"), strings.HasSuffix(d.Name, ".egg-info"): // Debian installs the second
			e.dist(dir, d.Name)
		case strings.HasSuffix(d.Name, ".egg-link"):
			if b, err := os.ReadFile(filepath.Join(dir, d.Name)); err == nil {
				line, _, _ := strings.Cut(string(b), "\n")
				e.eggInfo(strings.TrimSpace(line))
			}
		}
	}
}

func normalize(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

func (e *Env) dist(dir, info string) {
	name, version, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(info, ".dist-info"), ".egg-info"), "-")
	name = normalize(name)
	if _, dup := e.Dists[name]; dup {
		return
	}
	e.Dists[name] = version
	if name == "pytest" {
		e.Pytest, e.HasPytest = pytest.ParseVersion(version)
		return
	}
	e.entryPoints(filepath.Join(dir, info, "entry_points.txt"), name)
}

func (e *Env) eggInfo(dir string) {
	es, _ := filepath.Glob(filepath.Join(dir, "*.egg-info"))
	for _, p := range es {
		name := normalize(strings.TrimSuffix(filepath.Base(p), ".egg-info"))
		e.Dists[name] = ""
		e.entryPoints(filepath.Join(p, "entry_points.txt"), name)
	}
}

// entryPoints reads the pytest11 group of an entry_points.txt.
func (e *Env) entryPoints(path, dist string) {
	b, _, err := file.Read(path, nil)
	if err != nil {
		return
	}
	in := false
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = line == "[pytest11]"
			continue
		}
		name, target, ok := strings.Cut(line, "=")
		if !in || !ok || strings.HasPrefix(line, "#") {
			continue
		}
		module, _, _ := strings.Cut(target, ":")
		module, _, _ = strings.Cut(module, "[")
		e.Plugins = append(e.Plugins, Plugin{strings.TrimSpace(name), strings.TrimSpace(module), dist})
	}
}

// pth reads one .pth file (site.addpackage): paths, and "import" lines, of
// which those of editable installs are understood.
func (e *Env) pth(dir, name string) {
	b, _, err := file.Read(filepath.Join(dir, name), nil)
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "import "); ok {
			finder, _, _ := strings.Cut(strings.TrimSpace(rest), ";")
			if finder = strings.TrimSpace(finder); strings.HasPrefix(finder, "__editable__") {
				e.finder(filepath.Join(dir, finder+".py"))
			}
			continue
		}
		if p := file.Abs(dir, line); file.IsDir(p) {
			e.Path = append(e.Path, p)
		}
	}
}

// finder reads the MAPPING of setuptools' editable finder.
func (e *Env) finder(path string) {
	b, _, err := file.Read(path, nil)
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "MAPPING") {
			continue
		}
		_, v, _ := strings.Cut(line, "=")
		n, err := pyexpr.Parse(v)
		if err != nil || n.Kind != pyexpr.Dict {
			return
		}
		for i := 0; i+1 < len(n.Kids); i += 2 {
			if n.Kids[i].Kind == pyexpr.Str && n.Kids[i+1].Kind == pyexpr.Str {
				e.Editable[n.Kids[i].Text] = n.Kids[i+1].Text
			}
		}
		return
	}
}
