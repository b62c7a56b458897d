package server

import (
	"encoding/json"
	"strconv"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// What is sent behind a key is written by hand: of a file with 2,000 cases that
// takes a fifth of what encoding/json takes.

func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil {
				return append(b, '"', '"')
			}
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendField(b []byte, head, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, head...), s)
}

func appendRange(b []byte, from, fromAt, to, toAt uint32) []byte {
	b = strconv.AppendUint(append(b, `"range":{"start":{"line":`...), uint64(from), 10)
	b = strconv.AppendUint(append(b, `,"character":`...), uint64(fromAt), 10)
	b = strconv.AppendUint(append(b, `},"end":{"line":`...), uint64(to), 10)
	b = strconv.AppendUint(append(b, `,"character":`...), uint64(toAt), 10)
	return append(b, `}}`...)
}

// appendItem writes a node as encoding/json does.
func appendItem(b []byte, t *testproto.TestItem) []byte {
	b = appendString(append(b, `{"id":`...), t.ID)
	b = appendString(append(b, `,"root":`...), t.Root)
	b = appendString(append(b, `,"kind":`...), string(t.Kind))
	b = appendString(append(b, `,"label":`...), t.Label)
	b = appendField(b, `,"description":`, t.Description)
	b = appendField(b, `,"uri":`, t.URI)
	if r := t.Range; r != nil {
		b = appendRange(append(b, ','), r.Start.Line, r.Start.Character, r.End.Line, r.End.Character)
	}
	b = appendField(b, `,"parent":`, t.Parent)
	b = strconv.AppendBool(append(b, `,"canResolveChildren":`...), t.CanResolveChildren)
	b = appendField(b, `,"sortText":`, t.SortText)
	for i, tag := range t.Tags {
		if i == 0 {
			b = append(b, `,"tags":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, tag)
	}
	if len(t.Tags) > 0 {
		b = append(b, ']')
	}
	b = appendString(append(b, `,"origin":`...), string(t.Origin))
	b = appendField(b, `,"error":`, t.Error)
	b = appendField(b, `,"state":`, string(t.State))
	return append(b, '}')
}

// appendDiscovered writes what a client is told of tests.
func appendDiscovered(b []byte, r *testproto.DiscoverResult) []byte {
	b = strconv.AppendInt(append(b, `{"generation":`...), r.Generation, 10)
	b = append(b, `,"tests":[`...)
	for i := range r.Tests {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendItem(b, &r.Tests[i])
	}
	b = append(b, ']')
	for i, u := range r.ScopeURIs {
		if i == 0 {
			b = append(b, `,"scopeUris":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, u)
	}
	if len(r.ScopeURIs) > 0 {
		b = append(b, ']')
	}
	b = appendRefs(b, `,"scopeIds":[`, r.ScopeIDs)
	return append(appendRefs(b, `,"removed":[`, r.Removed), '}')
}

func appendRefs(b []byte, head string, refs []testproto.Ref) []byte {
	for i, ref := range refs {
		if i == 0 {
			b = append(b, head...)
		} else {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"root":`...), ref.Root)
		b = append(appendString(append(b, `,"id":`...), ref.ID), '}')
	}
	if len(refs) > 0 {
		b = append(b, ']')
	}
	return b
}

// appendLens writes a lens; arguments are those of the command, as text.
func appendLens(b []byte, r protocol.Range, title, command string, arguments []byte) []byte {
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = appendRange(append(b, '{'), r.Start.Line, r.Start.Character, r.End.Line, r.End.Character)
	b = appendString(append(b, `,"command":{"title":`...), title)
	b = appendString(append(b, `,"command":`...), command)
	b = append(append(b, `,"arguments":[`...), arguments...)
	return append(b, `]}}`...)
}
