// Package resolve finds the file of a module as a test run would import it.
package resolve

import (
	"path/filepath"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// Kind says what a dotted name leads to.
type Kind uint8

const (
	NotFound  Kind = iota
	Source         // a .py file; Package says whether an __init__.py
	Namespace      // folders without __init__.py
	Binary         // an extension or builtin module: nothing to read
)

// Target is where a module is.
type Target struct {
	Kind    Kind
	Path    string // the file of a Source
	Package bool
	Dirs    []string // where submodules are looked for
	Stdlib  bool
}

// Lister lists directories, from a cache.
type Lister interface {
	List(dir string) []file.Entry
}

// Resolver resolves absolute names against one environment. It is not safe
// for concurrent use.
type Resolver struct {
	env   *pyenv.Env
	fs    Lister
	extra []string // pythonpath: in front of the environment's path
	cache map[string]Target

	// what pytest puts in front of sys.path while it imports test files, the
	// last first, and which of these folders have a name
	inserted []string
	names    map[string][]int
}

// New returns a Resolver. paths stand in front of the environment's sys.path.
func New(env *pyenv.Env, fs Lister, paths []string) *Resolver {
	return &Resolver{env: env, fs: fs, extra: paths, cache: map[string]Target{}, names: map[string][]int{}}
}

// Insert says that pytest has put a folder in front of sys.path. Names that
// were not found before may be found now; names that were found stay, as they
// do in sys.modules.
func (r *Resolver) Insert(dir string) {
	for _, d := range r.inserted {
		if d == dir {
			return
		}
	}
	n := len(r.inserted)
	r.inserted = append(r.inserted, dir)
	for _, e := range r.fs.List(dir) {
		name, _, _ := strings.Cut(e.Name, ".")
		if ix := r.names[name]; len(ix) == 0 || ix[len(ix)-1] != n {
			r.names[name] = append(ix, n)
		}
	}
	for k, t := range r.cache {
		if t.Kind == NotFound || t.Kind == Namespace {
			delete(r.cache, k)
		}
	}
}

// Find resolves a dotted name. first is searched in front of everything: the
// folder that pytest has just put on sys.path for the importing file; "" for
// none.
func (r *Resolver) Find(dotted, first string) Target {
	key := first + "\x00" + dotted
	if t, ok := r.cache[key]; ok {
		return t
	}
	t := r.find(dotted, first)
	r.cache[key] = t
	return t
}

func (r *Resolver) find(dotted, first string) Target {
	if i := strings.LastIndexByte(dotted, '.'); i >= 0 {
		parent := r.Find(dotted[:i], first)
		if parent.Kind == NotFound || parent.Kind == Binary {
			return Target{Kind: parent.Kind, Stdlib: parent.Stdlib}
		}
		t := r.in(parent.Dirs, dotted[i+1:])
		t.Stdlib = parent.Stdlib
		return t
	}
	if builtinModules[dotted] {
		return Target{Kind: Binary, Stdlib: true}
	}
	dirs := make([]string, 0, len(r.extra)+len(r.env.Path)+1)
	if first != "" {
		dirs = append(dirs, first)
	}
	ix := r.names[dotted]
	for i := len(ix) - 1; i >= 0; i-- {
		dirs = append(dirs, r.inserted[ix[i]])
	}
	dirs = append(append(dirs, r.extra...), r.env.Path...)
	t := r.in(dirs, dotted)
	if p := r.env.Editable[dotted]; p != "" && (t.Kind == NotFound || t.Kind == Namespace) {
		if strings.HasSuffix(p, ".py") {
			return Target{Kind: Source, Path: p}
		}
		if r.has(p, "__init__.py") == file.Regular {
			return Target{Kind: Source, Path: filepath.Join(p, "__init__.py"), Package: true, Dirs: []string{p}}
		}
		return Target{Kind: Namespace, Dirs: []string{p}}
	}
	if t.Kind == NotFound && r.env.Stdlib == "" && stdlibNames[dotted] {
		return Target{Kind: Binary, Stdlib: true}
	}
	if r.env.Stdlib != "" && t.Kind != NotFound {
		_, in := file.Rel(r.env.Stdlib, t.Path)
		t.Stdlib = in && !strings.Contains(t.Path, "/site-packages/") || t.Kind == Binary && len(t.Dirs) == 0 && t.Stdlib
	}
	return t
}

// Below looks for one name in the folders of a package, in their order.
func (r *Resolver) Below(dirs []string, name string) Target { return r.in(dirs, name) }

// Base returns the sys.path entry that importing a test file inserts: the
// folder above the outermost package that holds it.
func Base(fs Lister, p string) string {
	dir := filepath.Dir(p)
	for has(fs, dir, "__init__.py") == file.Regular {
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return dir
}

// in looks for one name in the folders, in their order.
func (r *Resolver) in(dirs []string, name string) Target {
	var namespace []string
	for _, d := range dirs {
		es := r.fs.List(d)
		i := sort.Search(len(es), func(i int) bool { return es[i].Name >= name })
		isDir := i < len(es) && es[i].Name == name && es[i].Kind == file.Dir
		if isDir && r.has(filepath.Join(d, name), "__init__.py") == file.Regular {
			p := filepath.Join(d, name)
			return Target{Kind: Source, Path: filepath.Join(p, "__init__.py"), Package: true, Dirs: []string{p}}
		}
		for ; i < len(es) && strings.HasPrefix(es[i].Name, name); i++ {
			rest := es[i].Name[len(name):]
			if es[i].Kind != file.Regular || rest == "" || rest[0] != '.' {
				continue
			}
			if strings.HasSuffix(rest, ".so") || strings.HasSuffix(rest, ".pyd") {
				_, std := file.Rel(r.env.Stdlib, d)
				return Target{Kind: Binary, Stdlib: std && !strings.Contains(d, "site-packages")}
			}
			if rest == ".py" {
				return Target{Kind: Source, Path: filepath.Join(d, name+".py")}
			}
		}
		if isDir {
			namespace = append(namespace, filepath.Join(d, name))
		}
	}
	if len(namespace) > 0 {
		return Target{Kind: Namespace, Dirs: namespace}
	}
	return Target{}
}

func (r *Resolver) has(dir, name string) file.Kind { return has(r.fs, dir, name) }

func has(fs Lister, dir, name string) file.Kind {
	es := fs.List(dir)
	i := sort.Search(len(es), func(i int) bool { return es[i].Name >= name })
	if i < len(es) && es[i].Name == name {
		return es[i].Kind
	}
	return file.Other
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// builtinModules is sys.builtin_module_names of CPython 3.8 to 3.14 builds on
// Linux and macOS, what all of them share and the rest have as extensions.
var builtinModules = words(`_abc _ast _codecs _collections _functools _imp _io _locale _operator _signal _sre _stat _string _symtable
	_thread _tracemalloc _warnings _weakref atexit builtins errno faulthandler gc itertools marshal posix pwd sys time xxsubtype`)

// stdlibNames are top-level modules of the standard library, for the case
// that no interpreter is there.
var stdlibNames = words(`abc argparse array ast asyncio base64 binascii bisect bz2 calendar codecs collections concurrent configparser
	contextlib contextvars copy copyreg csv ctypes dataclasses datetime decimal difflib dis doctest email enum filecmp fnmatch
	fractions ftplib functools getpass gettext glob graphlib gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress
	json keyword linecache locale logging lzma mailbox math mimetypes multiprocessing netrc numbers opcode operator optparse os
	pathlib pdb pickle pkgutil platform plistlib poplib pprint profile pstats py_compile queue quopri random re readline reprlib
	resource runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl stat
	statistics string stringprep struct subprocess symtable sysconfig syslog tarfile tempfile textwrap threading timeit tkinter
	token tokenize tomllib trace traceback tracemalloc types typing unicodedata unittest urllib uuid venv warnings wave weakref
	webbrowser wsgiref xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`)
