package cli_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// suite is what is read of JUnit's file.
type suite struct {
	Suites []struct {
		Tests int `xml:"tests,attr"`
		Cases []struct {
			Name string `xml:"name,attr"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// TestEndedBySignals ends runs by each of the signals that a shell, a terminal
// and a supervisor send, in the middle of a test: JUnit's file and JSON lines
// are whole and tell what ran, and nothing is left.
func TestEndedBySignals(t *testing.T) {
	// Who runs the tests may ignore hangups, as nohup does: a program that is
	// started by one that handles them does not.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	defer signal.Stop(handled)
	h := newHome(t, map[string]string{
		"test_a.py": "def test_a(): pass\ndef test_fails(): print(chr(27), chr(0), '&<]]>'); assert 0\n" + hanging + "def test_behind(): pass\n",
		"test_b.py": "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_b(n): pass\n",
	})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, workers := range []string{"1", "2"} {
			for _, where := range []string{"--no-daemon", "--daemon"} {
				for _, format := range []string{"text", "jsonl"} {
					name := fmt.Sprint(sig, " ", workers, " ", where, " ", format)
					out := filepath.Join(t.TempDir(), "out.xml")
					cmd, gone := h.hang("test", where, "-n", workers, "--format", format, "--junitxml="+out)
					_ = cmd.Process.Signal(sig)
					_ = cmd.Wait()
					gone()
					text := fmt.Sprint(cmd.Stdout)
					if got := cmd.ProcessState.ExitCode(); got != 2 {
						t.Errorf("%s: exit status %d\n%s%s", name, got, text, cmd.Stderr)
					}
					b, err := os.ReadFile(out)
					var s suite
					if err == nil {
						err = xml.Unmarshal(b, &s)
					}
					named := 0
					for _, s := range s.Suites {
						for _, c := range s.Cases {
							if c.Name == "test_fails" || c.Name == "test_a" {
								named++
							}
						}
					}
					if err != nil || named != 2 || s.Suites[0].Tests > len(s.Suites[0].Cases) {
						t.Errorf("%s: %v, JUnit's file has\n%s", name, err, b)
					}
					if format == "text" {
						if !strings.Contains(text, "KeyboardInterrupt") || !strings.Contains(text, "1 failed, ") {
							t.Errorf("%s: printed\n%s", name, text)
						}
						continue
					}
					tests, last := map[string]string{}, ""
					for line := range strings.Lines(text) {
						var l struct{ Event, ID, Outcome string }
						if err := json.Unmarshal([]byte(line), &l); err != nil || !strings.HasSuffix(line, "}\n") {
							t.Fatalf("%s: %v, line %q", name, err, line)
						}
						if last = l.Event + " " + l.Outcome; l.Event == "test" {
							if tests[l.ID] != "" {
								t.Errorf("%s: %s ends twice", name, l.ID)
							}
							tests[l.ID] = l.Outcome
						}
					}
					if last != "run_ended interrupted" || tests["test_a.py::test_a"] != "passed" || tests["test_a.py::test_fails"] != "failed" || workers == "1" && tests["test_a.py::test_behind"] != "" { // else the other worker may have it
						t.Errorf("%s: %s, %v", name, last, tests)
					}
				}
			}
		}
	}
}

// TestHangupIgnored runs under nohup.
func TestHangupIgnored(t *testing.T) {
	h := newHome(t, map[string]string{"test_a.py": "def test_a(): pass\n"})
	cmd := h.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `trap '' HUP; kill -HUP $$; "$0" test --no-daemon & kill -HUP $!; wait $!`, h.program}
	h.want(h.wait(cmd), 0, "1 passed")
}
