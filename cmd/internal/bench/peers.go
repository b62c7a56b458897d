package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// venv is the folder of a virtual environment.
type venv string

func (v venv) bin(name string) string { return filepath.Join(string(v), "bin", name) }

// peer is a program to compare with.
type peer struct {
	venv venv
	note string // why it cannot be had
}

// peerPackages are what each needs beside pytest. Plugins are apart: their
// hooks are in every run of an environment.
var peerPackages = map[string][]string{
	"pytest":  {},
	"xdist":   {"pytest-xdist==3.8.0"},
	"testmon": {"pytest-testmon==2.2.0"},
	"cito":    {"cito==0.3.*"},
	"karva":   {"karva==0.0.1a13"},
	"rtest":   {"rtest==0.0.47"},
	"rustest": {"rustest==0.18.0"},
}

const pytestVersion = "9.2.0"

// peer installs one, once.
func (b *bench) peer(name string) (peer, error) {
	p := peer{venv: venv(filepath.Join(b.dir, "peers", name))}
	stamp := filepath.Join(string(p.venv), "installed")
	if text, err := os.ReadFile(stamp); err == nil {
		p.note = string(text)
		return p, nil
	}
	fmt.Println("installing", name)
	_ = os.RemoveAll(string(p.venv))
	if out, err := exec.Command(newestPython(), "-m", "venv", string(p.venv)).CombinedOutput(); err != nil {
		return p, fmt.Errorf("making a virtual environment: %w\n%s", err, out)
	}
	pip := []string{"-m", "pip", "install", "-q", "--disable-pip-version-check", "pytest==" + pytestVersion}
	out, err := exec.Command(p.venv.bin("python"), append(pip, peerPackages[name]...)...).CombinedOutput()
	if err != nil {
		if name == "pytest" {
			return p, fmt.Errorf("installing pytest: %w\n%s", err, out)
		}
		p.note = "not installed: " + installerReason(string(out), err)
	}
	return p, os.WriteFile(stamp, []byte(p.note), 0o644)
}

// xdistAlone is a folder for PYTHONPATH that has pytest-xdist for the pytest
// of a suite.
func (b *bench) xdistAlone(suite venv) (string, error) {
	dir := filepath.Join(b.dir, "peers", "xdist-alone")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	out, err := exec.Command(suite.bin("python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", dir,
		"pytest-xdist==3.8.0", "execnet==2.1.2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pytest-xdist is not installed: %s", installerReason(string(out), err))
	}
	return dir, nil
}

// installerReason is the last of what the installer calls an error.
func installerReason(text string, err error) string {
	reason := err.Error()
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(line, "ERROR: "); ok {
			reason = s
		}
	}
	return plainText(reason)
}

var place = regexp.MustCompile(`\S*(://|/)\S*`)

// plainText is a line without paths and addresses, and not long.
func plainText(s string) string {
	s = strings.Join(strings.Fields(place.ReplaceAllString(s, "…")), " ")
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100]) + "…"
	}
	return s
}

// newestPython returns the newest Python that pyenv or PATH has.
func newestPython() string {
	for minor := 14; minor >= 10; minor-- {
		name := fmt.Sprintf("python3.%d", minor)
		if exec.Command(name, "-c", "pass").Run() == nil {
			return name
		}
		home, _ := os.UserHomeDir()
		found, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", fmt.Sprintf("3.%d.*", minor), "bin", "python"))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return "python3"
}
