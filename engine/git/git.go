// Package git asks the git program which files differ from a revision. It
// starts nothing that a repository's configuration names: no file system
// monitor, no external diff, no text conversion.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoRepository says that a folder is in no git repository.
var ErrNoRepository = errors.New("not a git repository")

// ErrNoGit says that there is no git program.
var ErrNoGit = errors.New("the git program is not installed")

// ShallowError says that a shallow clone lacks a revision or the history
// between it and HEAD.
type ShallowError struct {
	Rev   string
	Fetch string // the command that brings it
}

func (e *ShallowError) Error() string {
	return fmt.Sprintf("this shallow clone has no history back to %s; get it with: %s", e.Rev, e.Fetch)
}

// RevError says that a name is no revision.
type RevError struct{ Rev string }

func (e *RevError) Error() string { return fmt.Sprintf("git knows no revision %s", e.Rev) }

// Repo is a working tree.
type Repo struct {
	dir string // as asked for
	top string
}

// Open finds the working tree that a folder is in.
func Open(ctx context.Context, dir string) (*Repo, error) {
	r := &Repo{dir: dir}
	out, err := r.git(ctx, "rev-parse", "--show-toplevel", "--show-prefix")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(out, "\n")
	if len(lines) < 2 || lines[0] == "" {
		return nil, fmt.Errorf("%s: %w with a working tree", dir, ErrNoRepository)
	}
	// git resolves links; our paths keep them where that is possible.
	prefix := filepath.FromSlash(strings.TrimSuffix(lines[1], "/"))
	r.top = lines[0]
	switch {
	case prefix == "":
		r.top = dir
	case strings.HasSuffix(dir, string(filepath.Separator)+prefix):
		r.top = strings.TrimSuffix(dir, string(filepath.Separator)+prefix)
	}
	return r, nil
}

// Changed returns the files that differ from a commit that Base returned,
// absolute and sorted: edited, deleted and untracked ones, those in the index
// included.
func (r *Repo) Changed(ctx context.Context, base string) ([]string, error) {
	diff, err := r.git(ctx, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-relative", base, "--")
	if err != nil {
		return nil, err
	}
	r2 := &Repo{dir: r.top, top: r.top}
	untracked, err := r2.git(ctx, "ls-files", "-z", "--others", "--exclude-standard", "--full-name")
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, p := range strings.Split(diff+untracked, "\x00") {
		if p != "" {
			paths = append(paths, filepath.Join(r.top, filepath.FromSlash(p)))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// emptyTree is the tree without files, of which each repository knows.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// Base returns the commit to compare with: the one where HEAD's history left
// that of rev, a *RevError or *ShallowError when there is none. Without rev it
// is HEAD, or the empty tree.
func (r *Repo) Base(ctx context.Context, rev string) (string, error) {
	head, headErr := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", "HEAD^{commit}")
	if rev == "" {
		if headErr != nil {
			return emptyTree, nil // nothing is committed yet
		}
		return strings.TrimSpace(head), nil
	}
	if strings.HasPrefix(rev, "-") {
		return "", &RevError{rev}
	}
	commit, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		if r.shallow(ctx) {
			return "", &ShallowError{rev, r.fetch(ctx, rev)}
		}
		return "", &RevError{rev}
	}
	base, err := r.git(ctx, "merge-base", strings.TrimSpace(commit), "HEAD")
	if err != nil {
		if r.shallow(ctx) {
			return "", &ShallowError{rev, "git fetch --unshallow"}
		}
		return "", fmt.Errorf("%s and HEAD have no commit in common: %w", rev, err)
	}
	return strings.TrimSpace(base), nil
}

// Show returns a file as it was at a commit that Base returned; false when it
// was not there.
func (r *Repo) Show(ctx context.Context, base, path string) ([]byte, bool) {
	rel, err := filepath.Rel(r.top, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil, false
	}
	out, err := r.git(ctx, "show", "--no-ext-diff", "--no-textconv", base+":"+filepath.ToSlash(rel))
	return []byte(out), err == nil
}

func (r *Repo) shallow(ctx context.Context) bool {
	out, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	return err == nil && strings.TrimSpace(out) == "true"
}

// fetch is the command that brings a revision into a shallow clone: a branch
// of a remote by its name, anything else with the whole history.
func (r *Repo) fetch(ctx context.Context, rev string) string {
	remotes, _ := r.git(ctx, "remote")
	for _, remote := range strings.Fields(remotes) {
		if branch, ok := strings.CutPrefix(rev, remote+"/"); ok {
			return fmt.Sprintf("git fetch --unshallow %s +refs/heads/%s:refs/remotes/%s/%s", remote, branch, remote, branch)
		}
	}
	return "git fetch --unshallow"
}

// git runs the git program. Its error has what git printed.
func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--no-optional-locks"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat", "GIT_NO_LAZY_FETCH=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch text := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return string(out), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", ErrNoGit
	case ctx.Err() != nil:
		return "", ctx.Err()
	case strings.Contains(text, "not a git repository"), strings.Contains(text, "must be run in a work tree"):
		return "", fmt.Errorf("%s: %w", r.dir, ErrNoRepository)
	case text == "":
		return "", fmt.Errorf("git %s: %w", args[0], err)
	default:
		return "", fmt.Errorf("git %s: %s", args[0], text)
	}
}
