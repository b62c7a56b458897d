package server

import (
	"context"
	"encoding/json"
	"slices"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// abilities are what the client says it can do.
type abilities struct {
	refresh       bool // redraws lenses when asked to
	progress      bool // shows progress that the server begins
	configuration bool // answers workspace/configuration
	showDocument  bool
	tests         bool // draws a tree of tests itself: dx-py/*
	status        bool // experimental/serverStatus
	debugs        bool // has the command clientDebug
}

func is(b *bool) bool { return b != nil && *b }

func abilitiesOf(c *protocol.ClientCapabilities) abilities {
	var a abilities
	if w := c.Workspace; w != nil {
		a.refresh = w.CodeLens != nil && is(w.CodeLens.RefreshSupport)
		a.configuration = is(w.Configuration)
	}
	if w := c.Window; w != nil {
		a.progress = is(w.WorkDoneProgress)
		a.showDocument = w.ShowDocument != nil && w.ShowDocument.Support
	}
	var x struct {
		DxPyTests                *testproto.Capability `json:"dxPyTests"`
		ServerStatusNotification bool                  `json:"serverStatusNotification"`
		Commands                 struct {
			Commands []string `json:"commands"`
		} `json:"commands"`
	}
	if len(c.Experimental) > 0 && json.Unmarshal(c.Experimental, &x) == nil {
		a.tests = x.DxPyTests != nil && x.DxPyTests.Version >= testproto.Version
		a.status = x.ServerStatusNotification
		a.debugs = slices.Contains(x.Commands.Commands, clientDebug)
	}
	return a
}

// Initialize settles the position encoding, the folders and what the client
// can do.
func (s *server) Initialize(_ context.Context, p *protocol.InitializeParams) (*protocol.InitializeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialized {
		return nil, jsonrpc2.Errorf(jsonrpc2.InvalidRequest, "initialize was sent twice")
	}
	s.initialized = true
	encoding := protocol.PositionEncodingKindUTF16
	if g := p.Capabilities.General; g != nil && slices.Contains(g.PositionEncodings, protocol.PositionEncodingKindUTF8) {
		encoding, s.utf8 = protocol.PositionEncodingKindUTF8, true
	}
	s.can = abilitiesOf(&p.Capabilities)
	s.trusted = trusts(p.InitializationOptions)
	for _, f := range foldersOf(p) {
		s.addFolder(f.path, f.uri)
	}
	if set, ok := settingsOf(p.InitializationOptions); ok {
		for _, f := range s.folders {
			f.configure(s, set)
		}
	}
	for _, f := range slices.Clone(s.folders) {
		s.nest(f, f.findInner(f.settings.off()))
	}
	if p.ProcessID != nil && !s.opts.Forwarded {
		go WatchProcess(int(*p.ProcessID), s.conn.Done(), s.exit)
	}
	result := &protocol.InitializeResult{
		Capabilities: capabilities(encoding),
		ServerInfo:   protocol.ServerInfo{Name: "dx-py-ls", Version: protocol.NewOptional(s.opts.Version)},
	}
	if s.can.tests {
		b, err := json.Marshal(map[string]any{"dxPyTests": testproto.ServerCapability{Version: testproto.Version, Continuous: true, Debug: pool.Supported, Coverage: pool.Supported}})
		if err != nil {
			return nil, err
		}
		result.Capabilities.Experimental = b
	}
	return result, nil
}

func capabilities(encoding protocol.PositionEncodingKind) protocol.ServerCapabilities {
	change := protocol.TextDocumentSyncKindIncremental
	yes, no := true, false
	return protocol.ServerCapabilities{
		PositionEncoding:        encoding,
		TextDocumentSync:        &protocol.TextDocumentSyncOptions{OpenClose: &yes, Change: &change, Save: protocol.Boolean(true)},
		CodeLensProvider:        &protocol.CodeLensOptions{ResolveProvider: &no},
		DocumentSymbolProvider:  protocol.Boolean(true),
		WorkspaceSymbolProvider: protocol.Boolean(true),
		HoverProvider:           protocol.Boolean(true),
		DefinitionProvider:      protocol.Boolean(true),
		ImplementationProvider:  protocol.Boolean(true),
		ReferencesProvider:      protocol.Boolean(true),
		CompletionProvider:      &protocol.CompletionOptions{TriggerCharacters: []string{"(", ",", "\"", "'"}, ResolveProvider: &no},
		CodeActionProvider:      &protocol.CodeActionOptions{CodeActionKinds: []protocol.CodeActionKind{runAction}},
		ExecuteCommandProvider:  protocol.ExecuteCommandOptions{Commands: commands},
		Workspace: &protocol.WorkspaceOptions{WorkspaceFolders: &protocol.WorkspaceFoldersServerCapabilities{
			Supported: &yes, ChangeNotifications: protocol.Boolean(true),
		}},
	}
}

// Initialized asks for the settings. Nothing is registered dynamically:
// Neovim on Linux offers no registration of watched files.
func (s *server) Initialized(context.Context, *protocol.InitializedParams) error {
	s.askSettings()
	s.watch()
	s.busy()
	s.due()
	s.following.due()
	return nil
}

// SetTrace is accepted and has no effect.
func (s *server) SetTrace(context.Context, *protocol.SetTraceParams) error { return nil }

// DidSave tells that files on disk changed.
func (s *server) DidSave(context.Context, *protocol.DidSaveTextDocumentParams) error {
	s.diskChanged()
	return nil
}

// DidChangeWatchedFiles tells that files on disk changed.
func (s *server) DidChangeWatchedFiles(context.Context, *protocol.DidChangeWatchedFilesParams) error {
	s.diskChanged()
	return nil
}

// Shutdown prepares for exit: there is nothing to save.
func (s *server) Shutdown(context.Context) error { return nil }

// Exit ends the server.
func (s *server) Exit(context.Context) error {
	s.exit()
	return nil
}

func (s *server) exit() { s.once.Do(func() { close(s.exited) }) }

// trusts reads initializationOptions: {"trusted": true}.
func trusts(options []byte) bool {
	var o struct{ Trusted bool }
	return len(options) > 0 && json.Unmarshal(options, &o) == nil && o.Trusted
}

// aside runs what talks to the client beside the messages, and is waited for
// at the end. false when the server ends.
func (s *server) aside(f func(ctx context.Context)) bool {
	s.besideMu.Lock()
	defer s.besideMu.Unlock()
	if s.ending {
		return false
	}
	s.beside.Add(1)
	go func() {
		defer s.beside.Done()
		f(s.base)
	}()
	return true
}
