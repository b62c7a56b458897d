package pool

import (
	"slices"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

const placesTest = `import sys, pytest
def pytest_generate_tests(metafunc):
    c = metafunc.config
    metafunc.parametrize('v', [c.args, c.option.file_or_dir, c.invocation_params.args, c.known_args_namespace.file_or_dir, sys.argv[1:],
        [type(x).__name__ for x in (c.args, sys.argv, c.invocation_params.args)], [type(x) in (list, tuple) for x in (c.args, sys.argv, c.invocation_params.args)]], ids=str)
def test_a(v): pass
def test_b(v): pass
`

// TestPlacesOfOptions has an option of a conftest, whose value is taken for a
// place by all who have not seen the conftest.
func TestPlacesOfOptions(t *testing.T) {
	for _, version := range []string{"6.2.5", "9.2.0"} {
		p := newProject(t, version)
		p.settings.Places = "one folder"
		p.write("conftest.py", "def pytest_addoption(parser): parser.addoption('--lvl')\n")
		p.write("test_a.py", placesTest)
		p.write("test_c.py", placesTest)
		time.Sleep(file.RacyWindowNs)
		for _, place := range []string{"test_a.py", "test_c.py", "test_a.py::test_b"} {
			p.settings.Args, p.settings.At = []string{"--lvl", "test_c.py", place}, []int{1, 2}
			got, _ := p.ids()
			if want := p.fresh(); !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %q\nwant %q", version, place, got, want)
			}
		}
	}
}

// TestPlaces asks one session after the other for other places: what the tests
// see of the command line is what they see in a new process.
func TestPlaces(t *testing.T) {
	for _, version := range []string{"6.2.5", "7.4.4", "8.4.2", "9.2.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			for _, c := range []struct {
				name, conftest string
				own            bool
			}{
				{name: "plain", conftest: "import sys\nNAME = sys.argv[0]\n"},
				{name: "argv", conftest: "import sys\nNAMES = len(sys.argv)\n", own: true},
				{name: "argv is kept", conftest: "from sys import argv\n", own: true},
				{name: "args", conftest: "def pytest_configure(config):\n    config.x = list(config.args)\n", own: true},
				{name: "params", conftest: "def pytest_sessionstart(session):\n    session.x = 'a' in session.config.invocation_params.args\n", own: true},
				{name: "option", conftest: "def pytest_configure(config):\n    for x in config.option.file_or_dir: pass\n", own: true},
			} {
				if c.own && (version == "7.4.4" || version == "8.4.2") {
					continue
				}
				p := newProject(t, version)
				p.settings.Places = "one folder"
				p.write("conftest.py", c.conftest)
				p.write("test_a.py", placesTest)
				p.write("test_c.py", placesTest)
				time.Sleep(file.RacyWindowNs)
				ask := func(places ...string) {
					p.settings.Args = append([]string{"-p", "no:cacheprovider"}, places...)
					p.settings.At = nil
					for i := range places {
						p.settings.At = append(p.settings.At, i+2)
					}
				}
				ask("test_a.py")
				p.ids()
				before := len(p.pool.stems)
				for _, places := range [][]string{{"test_a.py::test_b"}, {"test_c.py", "test_a.py"}, {"test_a.py"}, {"test_c.py::test_a"}} {
					ask(places...)
					got, _ := p.ids()
					if want := p.fresh(); !slices.Equal(got, want) {
						t.Errorf("%s, %v: got %q\nwant %q", c.name, places, got, want)
					}
				}
				if own := len(p.pool.stems) > before; own != c.own {
					t.Errorf("%s: stages are made for each command line: %v", c.name, own)
				}
			}
		})
	}
}
