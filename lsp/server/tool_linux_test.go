package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

const tooled = `
import os
import sys

import pytest


def test_invocation():
    assert os.getcwd() in sys.path


def test_variables():
    assert os.environ["FROM_FILE"] == "a b" and os.environ["PATH"] != "not this"


def test_profile():
    assert os.environ.get("SPEED") == "slow" and os.environ["FROM_FILE"] == "of the profile"


def test_long():
    while True:
        pass
`

// TestToolTable runs tests as [tool.dx-py] says, as the command line does.
func TestToolTable(t *testing.T) {
	dir := project(t, map[string]string{
		"pyproject.toml": "[tool.pytest.ini_options]\naddopts = \"--import-mode=importlib\"\n" +
			"[tool.dx-py]\ninvocation = \"python -m pytest\"\nenv_file = \"vars\"\ntimeout = 0.3\n" +
			"[tool.dx-py.profile.slow]\nargs = [\"-k\", \"profile or long\"]\nenv = {SPEED = \"slow\", FROM_FILE = \"of the profile\"}\n",
		"vars": "FROM_FILE = 'a b'\nPATH = 'not this'\n", "sub/test_a.py": tooled,
	})
	e := lsptest.StartClient(t, dir, withPython(t, "9.2.0"), lsptest.Rich())
	states := func(id, profile string) []string {
		t.Helper()
		return e.Run(testproto.RunParams{RunID: id, Kind: "run", Profile: profile}).States
	}
	if diff := cmp.Diff([]string{
		"sub/test_a.py::test_invocation passed", "sub/test_a.py::test_long failed", "sub/test_a.py::test_profile failed", "sub/test_a.py::test_variables passed",
	}, states("plain", "")); diff != "" {
		t.Errorf("without a profile:\n%s", diff)
	}
	for _, s := range states("slow", "slow") {
		if want := map[string]string{"test_long": "failed", "test_profile": "passed"}[s[len("sub/test_a.py::"):strings.Index(s, " ")]]; want != "" && !strings.HasSuffix(s, want) {
			t.Errorf("with a profile: %s", s)
		}
	}
	err := e.Try(testproto.MethodRunTests, testproto.RunParams{RunID: "none", Kind: "run", Profile: "none"}, nil)
	if err == nil || !strings.Contains(err.Error(), "profile none: [tool.dx-py.profile] of "+dir+"/pyproject.toml has slow") {
		t.Errorf("an unknown profile: %v", err)
	}
	var r testproto.ResolveResult
	e.Call(testproto.MethodResolveTestRun, testproto.ResolveParams{Ref: testproto.Ref{Root: "file://" + dir, ID: "sub/test_a.py"}, Profile: "slow", Args: []string{"-x"}}, &r)
	if diff := cmp.Diff([]string{"-m", "pytest", "-k", "profile or long", "-x", dir + "/sub/test_a.py"}, r.Args); diff != "" {
		t.Errorf("the command line:\n%s", diff)
	}
	if v := r.Env["FROM_FILE"]; v == nil || *v != "of the profile" || r.Env["PATH"] != nil {
		t.Errorf("its variables: %v", r.Env)
	}
}
