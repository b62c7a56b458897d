package engine

import (
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Dependence is what decides which tests a change reaches, without what is
// known of earlier runs. The request's Root and Config must be known.
func Dependence(snap *workspace.Snapshot, r *Request) (*plan.Due, error) {
	suite, err := snap.Suite()
	if err != nil {
		return nil, err
	}
	g, err := snap.Graph()
	if err != nil {
		return nil, err
	}
	d := &plan.Due{Items: suite.Items, Graph: g, Root: r.Root, Tool: r.Config.Tool}
	if r.State != "" {
		d.Opened = history.LoadOpened(workspace.StateFolder(r.State, r.Root))
	}
	return d, nil
}

// Recall calls f with what is known of the request's tests in states of the
// project, the newest first, until f returns false.
func Recall(r *Request, f func(history.Known) bool) {
	if r.State == "" {
		return
	}
	states := history.OpenStates(workspace.StateFolder(r.State, r.Root))
	defer states.Close()
	states.All(r.DueEnv(), f)
}
