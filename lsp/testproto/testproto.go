// Package testproto holds the message types of dx-py/*, the methods by which a
// rich client shows a tree of tests and runs them. lsp/README.md specifies
// them; a test holds the two together.
package testproto

// Version is the protocol's, negotiated by the capability
// experimental.dxPyTests.
const Version = 1

// Requests of the client.
const (
	MethodDiscoverTests  = "dx-py/discoverTests"  // DiscoverParams -> DiscoverResult
	MethodRunTests       = "dx-py/runTests"       // RunParams -> RunResult
	MethodCancelRun      = "dx-py/cancelRun"      // CancelParams -> null
	MethodResolveTestRun = "dx-py/resolveTestRun" // ResolveParams -> ResolveResult or null
	MethodCoverage       = "dx-py/coverage"       // CoverageParams -> CoverageResult
	MethodExplain        = "dx-py/explain"        // ExplainParams -> ExplainResult or null
	MethodSynchronize    = "dx-py/synchronize"    // SynchronizeParams -> null
)

// Notifications of the client.
const MethodTrust = "dx-py/trust" // TrustParams

// Notifications of the server.
const (
	MethodDiscoveredTests = "dx-py/discoveredTests"     // DiscoverResult
	MethodTestStates      = "dx-py/testStates"          // StatesParams
	MethodRunOutput       = "dx-py/runOutput"           // OutputParams
	MethodRunRestarted    = "dx-py/runRestarted"        // RestartedParams
	MethodDebugAttach     = "dx-py/debugAttach"         // DebugAttachParams
	MethodRunEnded        = "dx-py/runEnded"            // EndedParams
	MethodServerStatus    = "experimental/serverStatus" // ServerStatus
)

// Capability is the value of the client's experimental.dxPyTests.
type Capability struct {
	Version int `json:"version"`
}

// ServerCapability is the server's answer in experimental.dxPyTests.
type ServerCapability struct {
	Version    int  `json:"version"`
	Coverage   bool `json:"coverage"`
	Continuous bool `json:"continuous"`
	Debug      bool `json:"debug"`
}

// Ref names a node of the tree. ID is pytest's node id: a folder's path, a
// file's, then "::" and names; relative to pytest's rootdir. Root is the URI
// of the workspace folder, or of a project of its own in it.
type Ref struct {
	Root string `json:"root"`
	ID   string `json:"id"`
}

// Position counts from 0, in the negotiated encoding.
type Position struct {
	Line      uint32 `json:"line"`
	Character uint32 `json:"character"`
}

// Range ends before End.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Location is a place in a file.
type Location struct {
	URI   string `json:"uri"`
	Range Range  `json:"range"`
}

// TestItem is one node of the tree.
type TestItem struct {
	ID                 string   `json:"id"`
	Root               string   `json:"root"`
	Kind               Kind     `json:"kind"`
	Label              string   `json:"label"`
	Description        string   `json:"description,omitempty"`
	URI                string   `json:"uri,omitempty"`
	Range              *Range   `json:"range,omitempty"`
	Parent             string   `json:"parent,omitempty"`
	CanResolveChildren bool     `json:"canResolveChildren"`
	SortText           string   `json:"sortText,omitempty"`
	Tags               []string `json:"tags,omitempty"`
	Origin             Origin   `json:"origin"`
	Error              string   `json:"error,omitempty"`
	State              State    `json:"state,omitempty"`
}

// Kind is what a node is.
type Kind string

// The kinds.
const (
	Dir      Kind = "dir"
	File     Kind = "file"
	Class    Kind = "class"
	Function Kind = "function"
	Case     Kind = "case"
	Subtest  Kind = "subtest"
)

// Origin is how a node is known.
type Origin string

// The origins.
const (
	Static  Origin = "static"
	Runtime Origin = "runtime"
)

// State is how a test stands.
type State string

// The states. All but Enqueued and Started are terminal in a run.
const (
	Enqueued  State = "enqueued"
	Started   State = "started"
	Passed    State = "passed"
	Failed    State = "failed"
	Error     State = "error"
	Skipped   State = "skipped"
	XFailed   State = "xfailed"
	XPassed   State = "xpassed"
	Cancelled State = "cancelled"
	Stale     State = "stale"
)

// Terminal reports whether no other state of the same run follows.
func (s State) Terminal() bool { return s != Enqueued && s != Started }

// DiscoverParams ask for what is below a node, or in a file; with neither, for
// all folders and files.
type DiscoverParams struct {
	Parent *Ref   `json:"parent,omitempty"`
	URI    string `json:"uri,omitempty"`
}

// DiscoverResult is a part of the tree. It replaces what the client has below
// ScopeIDs and in ScopeURIs; outside of these it adds Tests and takes Removed.
type DiscoverResult struct {
	Generation int64      `json:"generation"`
	Tests      []TestItem `json:"tests"`
	ScopeIDs   []Ref      `json:"scopeIds,omitempty"`
	ScopeURIs  []string   `json:"scopeUris,omitempty"`
	Removed    []Ref      `json:"removed,omitempty"`
}

// RunParams start a run.
type RunParams struct {
	RunID      string             `json:"runId"`
	Include    []Ref              `json:"include,omitempty"`
	Exclude    []Ref              `json:"exclude,omitempty"`
	Kind       string             `json:"kind"`
	Continuous bool               `json:"continuous,omitempty"`
	Selection  string             `json:"selection,omitempty"`
	Args       []string           `json:"args,omitempty"`
	Env        map[string]*string `json:"env,omitempty"`
	Profile    string             `json:"profile,omitempty"`
}

// RunResult is answered at once.
type RunResult struct {
	Enqueued   []Ref        `json:"enqueued"`
	Deselected []Deselected `json:"deselected,omitempty"`
}

// Deselected is a test that will not run, and why.
type Deselected struct {
	Ref    Ref    `json:"ref"`
	Reason string `json:"reason"`
}

// CancelParams name the run to cancel.
type CancelParams struct {
	RunID string `json:"runId"`
}

// StatesParams are changes of tests' states.
type StatesParams struct {
	RunID   string   `json:"runId"`
	Changes []Change `json:"changes"`
}

// Change is the newest state of one test.
type Change struct {
	Ref        Ref       `json:"ref"`
	State      State     `json:"state"`
	DurationMs *float64  `json:"durationMs,omitempty"`
	Cached     bool      `json:"cached,omitempty"`
	Messages   []Message `json:"messages,omitempty"`
}

// Message is why a test did not pass.
type Message struct {
	Text     Markup    `json:"text"`
	Expected string    `json:"expected,omitempty"`
	Actual   string    `json:"actual,omitempty"`
	Location *Location `json:"location,omitempty"`
	Stack    []Frame   `json:"stack,omitempty"`
}

// Markup is LSP's MarkupContent.
type Markup struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Frame is one frame of a stack, the innermost first.
type Frame struct {
	Label    string    `json:"label"`
	Location *Location `json:"location,omitempty"`
}

// OutputParams is text that a run printed; lines end in CRLF.
type OutputParams struct {
	RunID    string    `json:"runId"`
	Ref      *Ref      `json:"ref,omitempty"`
	Location *Location `json:"location,omitempty"`
	Stream   string    `json:"stream"`
	Text     string    `json:"text"`
}

// RestartedParams say that tests of a continuous run run again, and which files
// have changed; none where there were too many to name.
type RestartedParams struct {
	RunID    string   `json:"runId"`
	Enqueued []Ref    `json:"enqueued"`
	Cause    []string `json:"cause"`
}

// DebugAttachParams say where a run of kind debug waits for a debugger, of the
// debug adapter protocol, to attach.
type DebugAttachParams struct {
	RunID string `json:"runId"`
	Root  string `json:"root"`
	Host  string `json:"host"`
	Port  int    `json:"port"`
	Cwd   string `json:"cwd"`
}

// EndedParams end a run: nothing of the run follows.
type EndedParams struct {
	RunID      string         `json:"runId"`
	Outcome    string         `json:"outcome"`
	Totals     map[string]int `json:"totals"`
	DurationMs float64        `json:"durationMs"`
	Message    string         `json:"message,omitempty"`
}

// CoverageParams ask which lines a run of kind coverage has covered: in all
// files or in one, by all tests or by those of a node.
type CoverageParams struct {
	RunID string `json:"runId"`
	URI   string `json:"uri,omitempty"`
	Ref   *Ref   `json:"ref,omitempty"`
}

// CoverageResult is of the files of which something ran.
type CoverageResult struct {
	Files []CoveredFile `json:"files"`
}

// CoveredFile says of statements whether they ran: whole lines. By are the tests
// that ran some of them.
type CoveredFile struct {
	URI     string  `json:"uri"`
	Covered []Range `json:"covered"`
	Missed  []Range `json:"missed"`
	By      []Ref   `json:"by,omitempty"`
}

// ResolveParams ask how a test would be run in a terminal or a debugger.
type ResolveParams struct {
	Ref     Ref                `json:"ref"`
	Debug   bool               `json:"debug"`
	Args    []string           `json:"args,omitempty"`
	Env     map[string]*string `json:"env,omitempty"`
	Profile string             `json:"profile,omitempty"`
}

// ResolveResult is a command line. A null in Env takes a variable away.
type ResolveResult struct {
	Cwd         string             `json:"cwd"`
	Program     string             `json:"program"`
	Args        []string           `json:"args"`
	Env         map[string]*string `json:"env"`
	DebugpyPort int                `json:"debugpyPort,omitempty"`
}

// TrustParams say whether the user trusts the workspace.
type TrustParams struct {
	Trusted bool `json:"trusted"`
}

// ExplainParams ask why a test is as it is.
type ExplainParams struct {
	Ref Ref `json:"ref"`
}

// ExplainResult is what is known of a test.
type ExplainResult struct {
	Reasons []Reason `json:"reasons"`
}

// Reason is one sentence, with the files that it follows from.
type Reason struct {
	Text string   `json:"text"`
	Path []string `json:"path"`
}

// SynchronizeParams say what to wait for; with none, for all.
type SynchronizeParams struct {
	Graph     bool `json:"graph,omitempty"`
	Discovery bool `json:"discovery,omitempty"`
	Runs      bool `json:"runs,omitempty"`
}

// ServerStatus is rust-analyzer's extension, word for word.
type ServerStatus struct {
	Health    string `json:"health"`
	Quiescent bool   `json:"quiescent"`
	Message   string `json:"message,omitempty"`
}
