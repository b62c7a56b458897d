package server

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// TestEncode holds what is written by hand to what encoding/json reads of it.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "test_x[1-\"b\"]", "\\", "é😀", "<&>", "\x00\x7f", "\u2028"}), rapid.String())
		var want testproto.DiscoverResult
		want.Generation = rapid.Int64().Draw(t, "generation")
		want.Tests = []testproto.TestItem{}
		for range rapid.IntRange(0, 3).Draw(t, "tests") {
			it := testproto.TestItem{
				ID: text.Draw(t, "id"), Root: text.Draw(t, "root"), Kind: testproto.Kind(text.Draw(t, "kind")), Label: text.Draw(t, "label"),
				Description: text.Draw(t, "description"), URI: text.Draw(t, "uri"), Parent: text.Draw(t, "parent"),
				CanResolveChildren: rapid.Bool().Draw(t, "can"), SortText: text.Draw(t, "sort"), Origin: testproto.Origin(text.Draw(t, "origin")),
				Error: text.Draw(t, "error"), State: testproto.State(text.Draw(t, "state")), Tags: rapid.SliceOf(text).Draw(t, "tags"),
			}
			if len(it.Tags) == 0 {
				it.Tags = nil
			}
			if rapid.Bool().Draw(t, "ranged") {
				at := rapid.Uint32()
				it.Range = &testproto.Range{
					Start: testproto.Position{Line: at.Draw(t, "l"), Character: at.Draw(t, "c")}, End: testproto.Position{Line: at.Draw(t, "m"), Character: at.Draw(t, "d")},
				}
			}
			want.Tests = append(want.Tests, it)
		}
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			want.ScopeURIs = append(want.ScopeURIs, text.Draw(t, "scope"))
			want.ScopeIDs = append(want.ScopeIDs, testproto.Ref{Root: text.Draw(t, "r"), ID: text.Draw(t, "i")})
			want.Removed = append(want.Removed, testproto.Ref{Root: text.Draw(t, "r"), ID: text.Draw(t, "i")})
		}
		b := appendDiscovered(nil, &want)
		var got testproto.DiscoverResult
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", b, diff)
		}
	})
}
