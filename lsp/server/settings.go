package server

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// section is where the settings stand in a client's configuration.
const section = "dx-py"

// settings are the user's, for one folder.
type settings struct {
	Python      string            `json:"python"` // the interpreter, or its virtual environment
	Args        []string          `json:"args"`   // pytest's, before all others
	Env         map[string]string `json:"env"`    // over the session's environment
	Nested      *bool             `json:"nested"` // folders with a configuration of pytest's, or an environment, are projects of their own; null: yes
	Diagnostics struct {
		Failures *bool `json:"failures"` // by default unless the client draws results itself
	} `json:"diagnostics"`
}

// settingsOf reads the settings, or initializationOptions with them inside.
// Null, or what is no settings at all, means none.
func settingsOf(b []byte) (settings, bool) {
	var set settings
	if len(b) == 0 || string(b) == "null" || json.Unmarshal(b, &set) != nil {
		return settings{}, false
	}
	return set, true
}

// configure gives a folder its settings. The caller holds s.mu.
func (f *folder) configure(s *server, set settings) {
	if f.inner != nil {
		set.Args = nil // they name places in the workspace folder
		if f.inner.Own {
			set.Python = ""
		}
	}
	f.settings = set
	ws := f.base(s)
	f.ws.Apply(workspace.Update{Settings: &ws})
}

// base are the workspace's settings.
func (f *folder) base(s *server) workspace.Settings {
	return workspace.Settings{
		Dir: f.path, Args: f.args(s), Python: f.settings.Python, Env: f.environment(s), StateDir: s.opts.StateDir,
		StateNamed: !s.trusted, // till then nothing is written where the project says
	}
}

// args stand before all others: the projects in a folder are no part of it. The
// caller holds s.mu.
func (f *folder) args(s *server) []string { return slices.Concat(f.settings.Args, s.left(f)) }

func (set *settings) off() bool { return set.Nested != nil && !*set.Nested }

func (f *folder) environment(s *server) map[string]string {
	venv := ""
	if i := f.inner; i != nil && (i.Own || s.opts.Env["VIRTUAL_ENV"] == "") {
		venv = i.Venv
	}
	if len(f.settings.Env) == 0 && venv == "" {
		return s.opts.Env
	}
	env := maps.Clone(s.opts.Env)
	if venv != "" {
		env["VIRTUAL_ENV"] = venv
	}
	maps.Copy(env, f.settings.Env)
	return env
}

// askSettings asks the client for the settings of each folder, where it can be
// asked.
func (s *server) askSettings() {
	s.mu.Lock()
	can := s.can.configuration
	folders := append([]*folder(nil), s.folders...)
	s.mu.Unlock()
	if !can || len(folders) == 0 {
		return
	}
	s.aside(func(ctx context.Context) {
		name := section
		p := &protocol.ConfigurationParams{}
		for _, f := range folders {
			p.Items = append(p.Items, protocol.ConfigurationItem{ScopeURI: &f.uri, Section: &name})
		}
		answers, err := s.client.Configuration(ctx, p)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("asking for the configuration", "error", err)
			}
			return
		}
		s.mu.Lock()
		for i, f := range folders[:min(len(folders), len(answers))] {
			if set, ok := settingsOf(answers[i]); ok && !f.closed {
				f.configure(s, set)
			}
		}
		s.mu.Unlock()
		s.nestAll()
		s.listAgain()
		s.redraw(ctx)
	})
}

// DidChangeConfiguration takes new settings from the message, {"dx-py": {...}},
// or asks for them when it holds none, as in the pull model.
func (s *server) DidChangeConfiguration(_ context.Context, p *protocol.DidChangeConfigurationParams) error {
	var sent map[string]json.RawMessage
	if len(p.Settings) == 0 || json.Unmarshal(p.Settings, &sent) != nil || sent[section] == nil {
		s.askSettings()
		return nil
	}
	set, ok := settingsOf(sent[section])
	if !ok {
		return nil
	}
	s.mu.Lock()
	for _, f := range s.folders {
		f.configure(s, set)
	}
	s.mu.Unlock()
	s.nestAll()
	s.listAgain()
	return nil
}
