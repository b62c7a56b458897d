package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.lsp.dev/protocol"
)

// runAction is the kind of our code actions. They change no text.
const runAction protocol.CodeActionKind = "source.dxpy.run"

// CodeAction offers to run the test at the cursor, and what failed.
func (s *server) CodeAction(_ context.Context, p *protocol.CodeActionParams) ([]protocol.CommandOrCodeAction, error) {
	out := []protocol.CommandOrCodeAction{}
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return out, nil
	}
	if len(p.Context.Only) > 0 {
		wanted := false
		for _, k := range p.Context.Only {
			wanted = wanted || string(k) == "source" || strings.HasPrefix(string(runAction), string(k))
		}
		if !wanted {
			return out, nil
		}
	}
	v, doc, err := s.view(path)
	if err != nil || doc == nil {
		return out, nil
	}
	add := func(title, command string, arguments []protocol.LSPAny) {
		kind := runAction
		out = append(out, &protocol.CodeAction{Title: title, Kind: &kind, Command: protocol.Command{Title: title, Command: command, Arguments: arguments}})
	}
	if name := around(v, p.Range.Start.Line); name != "" {
		short := name[strings.LastIndex(name, "::")+2:]
		add("Run "+short, commandRun, runArguments(doc.uri, name))
		add("Debug "+short, commandDebug, runArguments(doc.uri, name))
		if len(s.results.under(key{path, name})) > 0 {
			add("Show the output of "+short, commandShowOutput, runArguments(doc.uri, name))
		}
		add("Run "+short+" with coverage", commandRunCoverage, runArguments(doc.uri, name))
		if s.covers(key{path, name}) {
			add("Go to the code that "+short+" covers", commandGoToCovered, runArguments(doc.uri, name))
		}
	}
	s.mu.Lock()
	due := s.folderOf(path).due.Load()
	s.mu.Unlock()
	if due.any(path, "") {
		add("Run what is affected in this file", commandRunAffected, runArguments(doc.uri, ""))
	}
	row := p.Range.Start.Line
	f, covering := s.covering(path, row)
	if len(covering) > 0 {
		title := "Run the test that covers this line"
		if len(covering) > 1 {
			title = fmt.Sprintf("Run the %d tests that cover this line", len(covering))
		}
		if b, err := json.Marshal(runArgument{URI: doc.uri, Line: &row}); err == nil {
			add(title, commandRunCovering, []protocol.LSPAny{b})
		}
	}
	if len(s.results.bad(f.path)) > 0 {
		add("Run the failed tests again", commandRerunFailed, runArguments(doc.uri, ""))
	}
	return out, nil
}
