package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"

	"go.lsp.dev/protocol"
	"go.lsp.dev/uri"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// document is an open buffer. Its text is never changed in place: Snapshots
// hold it.
type document struct {
	uri     uri.URI
	path    string
	version int32
	text    []byte
	digest  string // of text
}

// DidOpen takes a buffer over from the client.
func (s *server) DidOpen(_ context.Context, p *protocol.DidOpenTextDocumentParams) error {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return nil
	}
	s.set(&document{
		uri: uri.URI(bytes.Clone([]byte(p.TextDocument.URI))), path: path, version: p.TextDocument.Version, text: []byte(p.TextDocument.Text),
	})
	return nil
}

// DidChange applies edits in their order.
func (s *server) DidChange(_ context.Context, p *protocol.DidChangeTextDocumentParams) error {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return nil
	}
	s.mu.Lock()
	old := s.docs[path]
	s.mu.Unlock()
	if old == nil {
		return fmt.Errorf("change of %s, which is not open", path)
	}
	text, err := edited(old.text, p, s.utf8)
	if err != nil {
		return fmt.Errorf("change of %s: %w", path, err)
	}
	s.set(&document{uri: old.uri, path: path, version: p.TextDocument.Version, text: text})
	return nil
}

// edited returns the text behind all edits of a message, none of them when one
// cannot be meant.
func edited(text []byte, p *protocol.DidChangeTextDocumentParams, inBytes bool) ([]byte, error) {
	for _, c := range p.ContentChanges {
		switch c := c.(type) {
		case *protocol.TextDocumentContentChangeWholeDocument:
			text = []byte(c.Text)
		case *protocol.TextDocumentContentChangePartial:
			next, err := splice(text, c, inBytes)
			if err != nil {
				return nil, err
			}
			text = next
		}
	}
	return text, nil
}

// splice returns the text behind one edit.
func splice(text []byte, c *protocol.TextDocumentContentChangePartial, inBytes bool) ([]byte, error) {
	from, err := offset(text, c.Range.Start, inBytes)
	if err != nil {
		return nil, err
	}
	to, err := offset(text, c.Range.End, inBytes)
	if err != nil {
		return nil, err
	}
	if to < from {
		return nil, fmt.Errorf("the range ends before it begins")
	}
	next := make([]byte, 0, len(text)-(to-from)+len(c.Text))
	next = append(append(append(next, text[:from]...), c.Text...), text[to:]...)
	return next, nil
}

// set makes a document the current one and hands its text to the workspace.
func (s *server) set(d *document) {
	d.digest = history.Digest(d.text)
	s.mu.Lock()
	s.docs[d.path] = d
	s.folderOf(d.path).ws.Apply(d.update())
	s.mu.Unlock()
	s.turn(s.results.content(d.path, nonNil(d.text)))
	s.due()
	s.following.due()
}

func (d *document) update() workspace.Update {
	return workspace.Update{Files: []file.Change{{Path: d.path, Text: nonNil(d.text), Version: d.version}}}
}

// saved reports whether the file on disk holds what the buffer does.
func (d *document) saved() bool {
	disk, err := os.ReadFile(d.path)
	return err == nil && bytes.Equal(disk, d.text)
}

// diskChanged takes in that files on disk may be others: the client says so by
// didSave and didChangeWatchedFiles.
func (s *server) diskChanged() {
	s.mu.Lock()
	folders := slices.Clone(s.folders)
	s.mu.Unlock()
	for _, f := range folders {
		s.diskChangedIn(f)
	}
	s.nestAll()
	s.contents(s.results.paths())
	s.listAgain()
	s.following.due()
}

func (s *server) diskChangedIn(f *folder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.closed {
		f.ws.Apply(workspace.Update{Disk: true})
		f.moved.Store(true)
	}
}

// contents looks what files with results hold now.
func (s *server) contents(paths []string) {
	s.mu.Lock()
	open := map[string]bool{}
	for p := range s.docs {
		open[p] = true
	}
	s.mu.Unlock()
	for _, p := range paths {
		if !open[p] {
			s.turn(s.results.content(p, nil))
		}
	}
}

// nonNil keeps an empty buffer apart from no buffer.
func nonNil(text []byte) []byte {
	if text == nil {
		return []byte{}
	}
	return text
}

// DidClose gives a buffer back: the file on disk counts again.
func (s *server) DidClose(_ context.Context, p *protocol.DidCloseTextDocumentParams) error {
	path, ok := pathOf(p.TextDocument.URI)
	if !ok {
		return nil
	}
	s.mu.Lock()
	d := s.docs[path]
	if d != nil {
		delete(s.docs, path)
		s.folderOf(path).ws.Apply(workspace.Update{Files: []file.Change{{Path: path}}})
	}
	s.mu.Unlock()
	if d == nil {
		return fmt.Errorf("close of %s, which is not open", path)
	}
	s.lensMu.Lock()
	delete(s.lensKept, path)
	s.lensMu.Unlock()
	s.turn(s.results.content(path, nil))
	s.due()
	s.following.due()
	return nil
}
