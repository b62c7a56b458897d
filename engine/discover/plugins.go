package discover

import (
	"path/filepath"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// loadPlugins reads the plugins that a run would load.
func (w *world) loadPlugins() {
	blocked := map[string]bool{}
	var named []string
	for _, p := range w.cfg.Plugins {
		if name, no := strings.CutPrefix(p, "no:"); no {
			blocked[name] = true
		} else {
			named = append(named, p)
		}
	}
	if w.env.Stdlib == "" {
		w.unread = true
	}
	for _, p := range named {
		w.plugin(p, "")
	}
	if w.cfg.NoAutoload {
		return
	}
	for _, p := range w.env.Plugins {
		if !blocked[p.Name] && !blocked["pytest_"+p.Name] {
			w.plugin(p.Module, p.Dist)
		}
	}
}

// plugin reads one plugin's module: its fixtures and hooks.
func (w *world) plugin(dotted, dist string) {
	t := w.res.Find(dotted, "")
	if t.Kind != resolve.Source {
		if !strings.HasPrefix(dotted, "_pytest") && !builtinPlugins[dotted] {
			w.unread = true
		}
		return
	}
	base := filepath.Dir(t.Path)
	for range strings.Count(dotted, ".") {
		base = filepath.Dir(base)
	}
	if t.Package {
		base = filepath.Dir(base)
	}
	m := w.moduleAt(t.Path, base)
	if m == nil {
		w.unread = true
		return
	}
	m.build()
	w.plugins = append(w.plugins, m.fixturesOf())
	w.anyio = w.anyio || dotted == "anyio.pytest_plugin"
	if !quietPlugins[dist] {
		w.hooks.add(m)
		w.suite.Others = w.suite.Others || w.hooks.collector
	}
	w.pluginsOf(m)
}

// pluginsOf reads what a plugin or conftest names in pytest_plugins.
func (w *world) pluginsOf(m *module) {
	v, ok := m.scope.at("pytest_plugins", always)
	if !ok {
		return
	}
	items, ok := pyeval.Iterate(v)
	if s, one := v.(pyeval.Str); one {
		items, ok = nil, true
		for _, p := range strings.Split(string(s), ",") {
			items = append(items, pyeval.Str(p))
		}
	}
	if !ok {
		w.unread = true
	}
	for _, x := range items {
		if s, ok := x.(pyeval.Str); ok {
			w.plugin(string(s), "")
		} else {
			w.unread = true
		}
	}
}

// builtinPlugins are names that -p takes for plugins of pytest itself.
var builtinPlugins = words(`assertion cacheprovider capture debugging doctest faulthandler fixtures freeze_support helpconfig junitxml
	legacypath logging main mark monkeypatch nose pastebin pytester python python_api recwarn reports resultlog runner setuponly
	setupplan skipping stepwise subtests terminal terminalprogress threadexception tmpdir unittest unraisableexception warnings`)

// quietPlugins are distributions whose hooks change neither the list of tests
// nor their ids. Read from their source: they add marks, skip, report or time.
var quietPlugins = words(`hypothesis pytest-asyncio pytest-cov pytest-mock pytest-timeout pytest-xdist pytest-rerunfailures pytest-benchmark
	pytest-html pytest-json-report pytest-metadata pytest-sugar pytest-instafail pytest-freezegun pytest-freezer pytest-env
	pytest-subtests pytest-forked pytest-socket pytest-httpx pytest-aiohttp pytest-flask faker allure-pytest pytest-reportlog
	pytest-clarity pytest-pretty syrupy typeguard platformdirs pytest-datadir pytest-regressions requests-mock respx pyfakefs pytest-tornado
	pytest-durations pytest-github-actions-annotate-failures anyio`)

// hooks says which hooks that decide about tests a set of plugins has.
type hooks struct {
	generate, modify, collector, ids bool
}

func (h *hooks) add(m *module) {
	for _, e := range m.scope.entries {
		if !strings.HasPrefix(e.name, "pytest_") || e.binds[len(e.binds)-1].kind != bindDef {
			continue
		}
		switch e.name {
		case "pytest_generate_tests":
			h.generate = true
		case "pytest_collection_modifyitems", "pytest_collection_finish", "pytest_itemcollected":
			h.modify = h.modify || !m.quietHook(e)
		case "pytest_pycollect_makeitem", "pytest_pycollect_makemodule", "pytest_collect_file", "pytest_collect_directory",
			"pytest_make_collect_report", "pytest_collection":
			h.collector = true
		case "pytest_make_parametrize_id":
			h.ids = true
		}
	}
}

func (h *hooks) merge(o hooks) {
	h.generate = h.generate || o.generate
	h.modify = h.modify || o.modify
	h.collector = h.collector || o.collector
	h.ids = h.ids || o.ids
}

// quietHook reports whether a pytest_collection_modifyitems hook leaves the
// list as it is: the name of its items is only looped over, and no id is set.
func (m *module) quietHook(e *entry) bool {
	stmt := e.binds[len(e.binds)-1].stmt
	body := ""
	for i := stmt + 1; i < m.src.Stmts[stmt].Next; i++ {
		if m.src.Stmts[i].Kind == pysrc.Body {
			body = m.src.A(i)
		}
	}
	if body == "" {
		return false
	}
	for _, bad := range [...]string{"deselected", "_nodeid", ".name =", "setattr", "callspec", "exec(", "eval("} {
		if strings.Contains(body, bad) {
			return false
		}
	}
	params, err := pyexpr.ParseParams(m.src.B(stmt))
	if err != nil {
		return false
	}
	for _, p := range params {
		if (p.Name == "items" || p.Name == "session") && !onlyLooped(body, p.Name) {
			return false
		}
	}
	return true
}

// onlyLooped reports whether each use of a name is "in NAME:" or an argument
// of len or enumerate.
func onlyLooped(body, name string) bool {
	rest := body
	for {
		i := strings.Index(rest, name)
		if i < 0 {
			return true
		}
		before, after := rest[:i], rest[i+len(name):]
		rest = after
		if i > 0 && (isName(before[len(before)-1:]) || before[len(before)-1] == '"' || before[len(before)-1] == '\'' || before[len(before)-1] == '.') ||
			after != "" && isName(after[:1]) {
			continue // part of another name, an attribute or a string
		}
		b := strings.TrimRight(before, " ")
		switch {
		case strings.HasSuffix(b, " in") && strings.HasPrefix(after, ":"), strings.HasSuffix(b, " in") && strings.HasPrefix(strings.TrimLeft(after, " "), "if "):
		case strings.HasSuffix(b, "len("), strings.HasSuffix(b, "enumerate("):
		default:
			return false
		}
	}
}
