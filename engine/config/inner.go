package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Inner is a project of its own inside of a folder that an editor has opened:
// one that pytest, started in it, would not run as the outer folder's.
type Inner struct {
	Path string
	Venv string // the virtual environment of the project, or of the nearest folder above that has one; "" for none
	Own  bool   // Venv is in the project
}

// maxInnerDepth is how deep projects lie: group/packages/name/python is four.
const maxInnerDepth = 5

// Names are the files whose coming or going can make a folder a project of its
// own, or end that.
var innerNames = []string{"pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "pyvenv.cfg"}

// MayMakeInner reports whether a file of a name can make its folder a project
// of its own.
func MayMakeInner(name string) bool { return slices.Contains(innerNames, name) }

// FindInner finds the projects in a folder, by path: folders with a
// configuration of pytest's or a virtual environment of their own. taken are
// places that the outer project says it collects from: what is configured in
// one is the outer's, as are the data of tests.
func FindInner(root string, taken []string) []Inner {
	l := &files{version: pytest.Newest, text: map[string][]byte{}, tomls: map[string]map[string]any{}}
	var out []Inner
	var walk func(dir, venv string, depth int, data bool)
	walk = func(dir, venv string, depth int, data bool) {
		f, err := os.Open(dir)
		if err != nil {
			return
		}
		entries, _ := f.ReadDir(-1)
		f.Close()
		var folders, configs []string
		own := ""
		for _, e := range entries {
			switch name := e.Name(); {
			case (name == ".venv" || name == "venv" && own == "") && isVenv(filepath.Join(dir, name)):
				own = filepath.Join(dir, name)
			case e.IsDir():
				if depth < maxInnerDepth && !passedOver(name) {
					folders = append(folders, name)
				}
			case name == "pyvenv.cfg" && depth > 0:
				return
			case MayMakeInner(name):
				configs = append(configs, name)
			}
		}
		if own != "" {
			venv = own
		}
		if depth > 0 && (own != "" || !data && l.configured(dir, configs)) {
			out = append(out, Inner{dir, venv, own != ""})
		}
		for _, name := range folders {
			p := filepath.Join(dir, name)
			walk(p, venv, depth+1, data || slices.Contains(dataFolders, name) || slices.Contains(taken, p))
		}
	}
	walk(root, "", 0, false)
	slices.SortFunc(out, func(a, b Inner) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// dataFolders hold projects that tests use.
var dataFolders = []string{"test", "tests", "testing", "testdata", "test_data", "fixtures"}

func passedOver(name string) bool {
	switch name {
	case "node_modules", "__pycache__", "site-packages", "build", "dist", "venv", "CVS", "_darcs", "{arch}":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg") || strings.HasSuffix(name, ".egg-info")
}

func isVenv(dir string) bool { return file.IsRegular(filepath.Join(dir, "pyvenv.cfg")) }

// configured reports whether a folder has a file that configures pytest. One
// that cannot be read does: pytest would say what is wrong with it.
func (l *files) configured(dir string, names []string) bool {
	if len(names) == 0 {
		return false
	}
	for _, n := range l.names() {
		if !slices.Contains(names, n.name) {
			continue
		}
		if ini, err := n.load(l, filepath.Join(dir, n.name)); ini != nil || err != nil {
			return true
		}
	}
	return false
}
