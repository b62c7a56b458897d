package server

import (
	"encoding/json"
	"maps"
	"slices"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"
)

// Buffers are what a client has open, as a server that was sent the same
// messages holds it: who stands between the two tells the next server. The zero
// value has none open.
type Buffers struct {
	Bytes bool // positions are bytes instead of UTF-16 units

	open map[string]*document // by path
}

// Note takes in a notification of the client's; those that are about no buffer
// have no effect, and neither has what a server refuses.
func (b *Buffers) Note(method string, params []byte) {
	switch method {
	case protocol.MethodTextDocumentDidOpen:
		var p protocol.DidOpenTextDocumentParams
		if path, ok := read(params, &p, &p.TextDocument.URI); ok {
			if b.open == nil {
				b.open = map[string]*document{}
			}
			b.open[path] = &document{uri: p.TextDocument.URI, path: path, version: p.TextDocument.Version, text: []byte(p.TextDocument.Text)}
		}
	case protocol.MethodTextDocumentDidChange:
		var p protocol.DidChangeTextDocumentParams
		if path, ok := read(params, &p, &p.TextDocument.URI); ok && b.open[path] != nil {
			d := b.open[path]
			if text, err := edited(d.text, &p, b.Bytes); err == nil {
				d.text, d.version = text, p.TextDocument.Version
			}
		}
	case protocol.MethodTextDocumentDidClose:
		var p protocol.DidCloseTextDocumentParams
		if path, ok := read(params, &p, &p.TextDocument.URI); ok {
			delete(b.open, path)
		}
	}
}

// read reads parameters; false for those of no file.
func read(params []byte, p any, u *uri.URI) (path string, ok bool) {
	if protocol.Unmarshal(params, p) != nil {
		return "", false
	}
	return pathOf(*u)
}

// Opened are the parameters of didOpen that tell a server all.
func (b *Buffers) Opened() []json.RawMessage {
	var out []json.RawMessage
	for _, path := range slices.Sorted(maps.Keys(b.open)) {
		d := b.open[path]
		text, err := json.Marshal(map[string]any{"textDocument": map[string]any{
			"uri": d.uri, "languageId": "python", "version": d.version, "text": string(d.text),
		}})
		if err == nil {
			out = append(out, text)
		}
	}
	return out
}

// Folders are the paths of the folders that the parameters of initialize name.
func Folders(initialize []byte) []string {
	var p protocol.InitializeParams
	if protocol.Unmarshal(initialize, &p) != nil {
		return nil
	}
	var out []string
	for _, f := range foldersOf(&p) {
		out = append(out, f.path)
	}
	return out
}
