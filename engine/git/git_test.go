package git_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/git"
)

// repo is a real repository in a temporary folder.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) *repo {
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CEILING_DIRECTORIES", t.TempDir())
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "x")
		t.Setenv("GIT_"+who+"_EMAIL", "x@example.org")
	}
	r := &repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	p := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) commit() {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-qm", "c")
}

// changed returns the changed files relative to the repository.
func (r *repo) changed(dir, rev string) []string {
	r.t.Helper()
	ctx := context.Background()
	g, err := git.Open(ctx, dir)
	if err != nil {
		r.t.Fatal(err)
	}
	base, err := g.Base(ctx, rev)
	if err != nil {
		r.t.Fatal(err)
	}
	paths, err := g.Changed(ctx, base)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, p := range paths {
		rel, ok := strings.CutPrefix(p, r.dir+"/")
		if !ok {
			r.t.Fatalf("%s is not in %s", p, r.dir)
		}
		out = append(out, rel)
	}
	return out
}

func (r *repo) check(dir, rev string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.changed(dir, rev)); diff != "" {
		r.t.Errorf("%q in %s:\n%s", rev, dir, diff)
	}
}

func TestChanged(t *testing.T) {
	r := newRepo(t)
	r.write("a.py", "1")
	r.write("sub/b c.py", "1")
	r.check(r.dir, "", "a.py", "sub/b c.py") // before the first commit
	r.git("add", "a.py")
	r.check(r.dir, "", "a.py", "sub/b c.py")
	r.write(".gitignore", "*.log\n")
	r.write("naïve\n.py", "1")
	r.write("gone.py", "1")
	r.write("moved.py", "some text\nin several\nlines\n")
	r.commit()
	r.check(r.dir, "")
	r.write("a.py", "2")
	r.write("x.log", "ignored")
	r.write("sub/new.py", "1")
	r.write("naïve\n.py", "2")
	r.git("rm", "-q", "gone.py")
	r.git("mv", "moved.py", "sub/moved.py")
	all := []string{"a.py", "gone.py", "moved.py", "naïve\n.py", "sub/moved.py", "sub/new.py"}
	r.check(r.dir, "", all...)
	r.check(filepath.Join(r.dir, "sub"), "", all...) // the folder asked for may be below
}

func TestSince(t *testing.T) {
	r := newRepo(t)
	r.write("base.py", "1")
	r.commit()
	r.git("checkout", "-qb", "topic")
	r.write("ours.py", "1")
	r.commit()
	r.git("checkout", "-q", "main")
	r.write("theirs.py", "1")
	r.commit()
	r.git("checkout", "-q", "topic")
	r.check(r.dir, "main", "ours.py") // and not what main did since
	r.write("edited.py", "1")
	r.check(r.dir, "main", "edited.py", "ours.py")
	r.check(r.dir, "HEAD", "edited.py")

	ctx := context.Background()
	g, err := git.Open(ctx, r.dir)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *git.RevError
	for _, rev := range []string{"nowhere", "--output=x", "-", "main:base.py"} {
		if _, err := g.Base(ctx, rev); !errors.As(err, &unknown) {
			t.Errorf("%q: %v", rev, err)
		}
	}
	base, err := g.Base(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := g.Show(ctx, base, filepath.Join(r.dir, "base.py")); !ok || string(text) != "1" {
		t.Errorf("base.py was %q, %v", text, ok)
	}
	if _, ok := g.Show(ctx, base, filepath.Join(r.dir, "ours.py")); ok {
		t.Error("ours.py was there before it was made")
	}
	r.git("checkout", "-q", "--orphan", "other")
	r.commit()
	if _, err := g.Base(ctx, "main"); err == nil || !strings.Contains(err.Error(), "no commit in common") {
		t.Errorf("unrelated histories: %v", err)
	}
}

func TestShallow(t *testing.T) {
	r := newRepo(t)
	r.write("a.py", "1")
	r.commit()
	r.git("tag", "v1")
	r.git("checkout", "-qb", "topic")
	r.write("a.py", "2")
	r.commit()
	r.git("checkout", "-q", "main")
	r.write("b.py", "2")
	r.commit()
	clone := filepath.Join(t.TempDir(), "clone")
	r.git("clone", "-q", "--depth", "1", "--no-single-branch", "file://"+r.dir, clone)
	ctx := context.Background()
	g, err := git.Open(ctx, clone)
	if err != nil {
		t.Fatal(err)
	}
	var shallow *git.ShallowError
	for rev, fetch := range map[string]string{
		"origin/topic":  "git fetch --unshallow", // there, but not the commit where they parted
		"origin/absent": "git fetch --unshallow origin +refs/heads/absent:refs/remotes/origin/absent",
		"v1":            "git fetch --unshallow",
	} {
		_, err := g.Base(ctx, rev)
		if !errors.As(err, &shallow) || shallow.Fetch != fetch {
			t.Errorf("%s: %v", rev, err)
		}
	}
	cmd := exec.Command("git", "fetch", "-q", "--unshallow")
	cmd.Dir = clone
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := g.Base(ctx, "origin/topic"); err != nil {
		t.Error(err)
	}
}

func TestNoRepository(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	if _, err := git.Open(context.Background(), dir); !errors.Is(err, git.ErrNoRepository) {
		t.Error(err)
	}
	t.Setenv("PATH", dir)
	if _, err := git.Open(context.Background(), dir); !errors.Is(err, git.ErrNoGit) {
		t.Error(err)
	}
}

// TestStartsNothing sets everything by which a repository can name a program;
// none may be started.
func TestStartsNothing(t *testing.T) {
	r := newRepo(t)
	mark := filepath.Join(t.TempDir(), "started")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $@\" >> "+mark+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("a.py", "1")
	r.write(".gitattributes", "*.py diff=own\n")
	r.commit()
	r.git("config", "core.fsmonitor", program)
	r.git("config", "diff.external", program)
	r.git("config", "diff.own.command", program)
	r.git("config", "diff.own.textconv", program)
	r.git("config", "core.pager", program)
	r.git("config", "alias.diff", "!"+program)
	r.write("a.py", "2")
	r.check(r.dir, "", "a.py")
	g, err := git.Open(context.Background(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	base, err := g.Base(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := g.Show(context.Background(), base, filepath.Join(r.dir, "a.py")); !ok || string(text) != "1" {
		t.Errorf("a.py was %q, %v", text, ok)
	}
	if b, err := os.ReadFile(mark); err == nil {
		t.Errorf("started: %s", b)
	}
}

// TestInHook runs as from a hook of another repository.
func TestInHook(t *testing.T) {
	r := newRepo(t)
	r.write("a.py", "1")
	r.commit()
	r.write("a.py", "2")
	t.Setenv("GIT_DIR", ".git")
	t.Setenv("GIT_INDEX_FILE", ".git/other-index")
	t.Setenv("GIT_PREFIX", "x/")
	r.write("sub/b.py", "1")
	r.check(filepath.Join(r.dir, "sub"), "", "a.py", "sub/b.py")
}

// TestLinkedFolder opens a repository through a symbolic link: the paths stay
// as they were asked for.
func TestLinkedFolder(t *testing.T) {
	r := newRepo(t)
	r.write("sub/a.py", "1")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(r.dir, link); err != nil {
		t.Fatal(err)
	}
	r.dir = link
	r.check(link, "", "sub/a.py")
	r.check(filepath.Join(link, "sub"), "", "sub/a.py")
}
