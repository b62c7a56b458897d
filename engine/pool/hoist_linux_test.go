package pool

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// installed are libraries that say, in what they define, what they found when
// they were loaded.
var installed = map[string]string{
	"dxmode.py":         "import os\nMODE = os.environ.get('APP_MODE', 'none')\n",
	"dxtime.py":         "from time import time\nTIME = time.__module__\n",
	"dxplain.py":        "def f(): return 'own'\n",
	"dxuser.py":         "from dxplain import f\nF = f()\n",
	"dxprobe.py":        "import sys\nSEEN = 'dxmode' in sys.modules\n",
	"dxcwd.py":          "import os\nCWD = os.path.basename(os.getcwd())\n",
	"dxprints.py":       "print('hello from dxprints')\n",
	"dxwarns.py":        "import warnings\nwarnings.warn('old')\n",
	"dxholds.py":        "import sys\nOUT = sys.stdout\n",
	"dxsets.py":         "import os\nos.environ['DXSETS'] = '1'\n",
	"dxfilters.py":      "import warnings\nwarnings.filterwarnings('ignore', message='x')\n",
	"dxpatches.py":      "import dxplain\ndxplain.f = lambda: 'patched'\n",
	"dxfails.py":        "raise ImportError('not here')\n",
	"dxpkg/__init__.py": "import dxplain\n",
	"dxpkg/sub.py":      "NAME = 'sub'\n",
	"dxpkg/other.py":    "from . import sub\n",
	"dxspace/only.py":   "NAME = 'only'\n",
	"dxreplaced.py":     "import sys\nclass M: NAME = 'replaced'\nsys.modules[__name__] = M()\n",
	"dxlazy.py":         "def f():\n    import dxprobe\n    return dxprobe.SEEN\n",
	"dxregistry.py":     "NAMES = []\ndef add(name):\n    assert name not in NAMES\n    NAMES.append(name)\n",
	"dxregisters.py":    "import dxregistry\ndxregistry.add(__name__)\n",
}

const (
	plainConftest = "import dxplain\nimport dxmode, dxtime, dxuser, dxcwd, dxregistry\nimport dxpkg.other\nimport dxspace.only\n" +
		"try:\n    import dxfails\nexcept ImportError:\n    pass\nimport app\n"
	plainApp  = "import dxprobe, dxlazy, dxregisters\nVALUE = 'app'\n"
	plainTest = `import os, sys, pytest, app
import dxmode, dxtime, dxuser, dxcwd, dxplain, dxpkg
VALUES = [dxmode.MODE, dxtime.TIME, dxuser.F, dxcwd.CWD, app.VALUE, getattr(app, 'dxprobe', None) and app.dxprobe.SEEN,
    type(dxmode.__loader__).__name__, os.path.basename(os.path.dirname(dxmode.__file__)), hasattr(dxpkg, 'sub'),
    sorted(n for n in sys.modules if n.startswith('dx')), list(map(type, sys.meta_path))]
@pytest.mark.parametrize('v', VALUES, ids=str)
def test_a(v): pass
`
)

// hoists makes a project, its session, and what is loaded ahead for the next.
func hoists(t *testing.T, version string, files map[string]string) *project {
	p := newProject(t, version)
	site := filepath.Join(t.TempDir(), "site-packages")
	for name, text := range installed {
		path := filepath.Join(site, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.settings.Env = append(p.settings.Env, "PYTHONPATH="+site, "PYTHONHASHSEED=0")
	p.write("conftest.py", plainConftest)
	p.write("app.py", plainApp)
	p.write("test_a.py", plainTest)
	for name, text := range files {
		p.write(name, text)
	}
	time.Sleep(file.RacyWindowNs)
	p.ids()
	p.pool.Refresh(t.Context())
	p.pool.beside.wait()
	return p
}

// ids are those of the next run's session; hoisted says that it has come
// through the stage H.
func (p *project) ids() (ids []string, hoisted bool) {
	p.Helper()
	s, ids := p.take()
	defer p.pool.Release(s)
	said, _, _ := strings.Cut(s.Printed(), " error in ")
	return append(ids, said), s.stem.up(hoistedStage) != nil
}

// fresh are the ids that a new process finds.
func (p *project) fresh() []string {
	p.Helper()
	other := &project{T: p.T, settings: p.settings}
	defer other.pool.Close()
	ids, _ := other.ids()
	return ids
}

// TestHoist edits a project whose libraries are loaded ahead: what they find is
// what they find in a new process.
func TestHoist(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  map[string]string
		edit    map[string]string
		hoisted bool
		old     bool // with older releases, too
	}{
		{name: "the project's code", old: true, edit: map[string]string{"app.py": plainApp + "VALUE = 'edited'\n"}, hoisted: true},
		{name: "a conftest", edit: map[string]string{"conftest.py": plainConftest + "X = 1\n"}, hoisted: true},
		{name: "another import", edit: map[string]string{"conftest.py": plainConftest + "import dxprints\n"}, hoisted: true},
		{name: "an import in a function", edit: map[string]string{"app.py": "import dxprobe, dxlazy, dxregisters\nVALUE = dxlazy.f()\n"}, hoisted: true},
		{name: "a variable", old: true, edit: map[string]string{"conftest.py": "import os\nos.environ['APP_MODE'] = 'test'\n" + plainConftest}},
		{name: "a variable for a while", edit: map[string]string{"conftest.py": "import os\nos.environ['APP_MODE'] = 'test'\nimport dxmode\ndel os.environ['APP_MODE']\n" + plainConftest}},
		{name: "a replaced function", edit: map[string]string{"conftest.py": "import time\ntime.time = lambda: 0\n" + plainConftest}},
		{name: "a replaced function for a while", edit: map[string]string{"conftest.py": "import time\nwas = time.time\ntime.time = lambda: 0\nimport dxplain, dxmode, dxtime\ntime.time = was\n" + plainConftest}},
		{name: "a replaced function of a library", edit: map[string]string{"conftest.py": "import dxplain\ndxplain.f = lambda: 'replaced'\n" + plainConftest}},
		{name: "another folder", edit: map[string]string{"conftest.py": "import os\nos.chdir('..')\n" + plainConftest}},
		{name: "a module of the same name", edit: map[string]string{"dxmode.py": "MODE = 'ours'\n"}},
		{name: "another order", edit: map[string]string{"conftest.py": "import dxmode\n" + plainConftest}},
		{name: "an import less", edit: map[string]string{"app.py": "VALUE = 'app'\n"}},
		{name: "rewritten", old: true, edit: map[string]string{"conftest.py": "import pytest\npytest.register_assert_rewrite('dxmode')\n" + plainConftest}},
		{name: "the path", edit: map[string]string{"conftest.py": "import sys\nsys.path.insert(0, 'elsewhere')\n" + plainConftest}},
		{name: "an error", old: true, edit: map[string]string{"app.py": "import dxprobe\nraise RuntimeError\n"}},
		{
			name:   "libraries that do more than define",
			before: map[string]string{"conftest.py": plainConftest + "import dxprints, dxwarns, dxholds, dxsets, dxfilters, dxreplaced, dxpatches\n"},
			edit:   map[string]string{"app.py": plainApp + "VALUE = 'edited'\n"}, hoisted: true, old: true,
		},
		{
			name:   "a variable that was there",
			before: map[string]string{"conftest.py": "import os\nos.environ['APP_MODE'] = 'test'\n" + plainConftest},
			edit:   map[string]string{"app.py": plainApp + "VALUE = 'edited'\n"}, hoisted: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			versions := []string{"9.2.0", "7.4.4", "6.2.5"}
			if !c.old {
				versions = versions[:1]
			}
			for _, version := range versions {
				p := hoists(t, version, c.before)
				for name, text := range c.edit {
					p.save(name, text)
				}
				got, hoisted := p.ids()
				if want := p.fresh(); !slices.Equal(got, want) {
					t.Errorf("%s: got %q\nwant %q", version, got, want)
				}
				if hoisted != c.hoisted {
					t.Errorf("%s: what is loaded ahead is used: %v; doubts %q", version, hoisted, slices.Collect(maps.Values(p.pool.doubts)))
				}
			}
		})
	}
}
