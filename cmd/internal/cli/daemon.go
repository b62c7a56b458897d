package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine/client"
	"github.com/dx-py/dx-py-ls/engine/daemon"
)

func (p *program) daemonCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "daemon [start|stop|status]",
		Short: "The resident process that keeps your pytest warm",
		Long: `The first run starts a resident process, which keeps an engine for each project
and ends when nothing has been run for 30 minutes. It is not used where CI is
set, with DX_PY_NO_DAEMON=1 and with --no-daemon.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.daemonStatus() },
	}
	add := func(name, short string, do func() error) *cobra.Command {
		sub := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return do() }}
		c.AddCommand(sub)
		return sub
	}
	add("start", "Start it, where it does not run", p.daemonStart)
	add("stop", "End it; its runs are interrupted", p.daemonStop)
	add("status", "What it does", p.daemonStatus)
	add("serve", "", p.daemonServe).Hidden = true
	return c
}

func (p *program) getenv(name string) string { return p.env[name] }

func (p *program) daemonStart() error {
	place, err := client.Find(p.getenv)
	if err != nil {
		return err
	}
	if _, err := daemon.Ask(place); err == nil {
		fmt.Fprintln(p.stdout, "it runs already")
		return nil
	}
	return p.start(place)
}

func (p *program) daemonStop() error {
	place, err := client.Find(p.getenv)
	if err != nil {
		return err
	}
	if err = daemon.Stop(place); errors.Is(err, client.ErrNone) {
		fmt.Fprintln(p.stdout, "none runs")
		return nil
	}
	return err
}

func (p *program) daemonStatus() error {
	place, err := client.Find(p.getenv)
	if err != nil {
		return err
	}
	s, err := daemon.Ask(place)
	if errors.Is(err, client.ErrNone) {
		fmt.Fprintln(p.stdout, "none runs")
		p.status = exitProblems
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "process %d, for %s, %s (%d now), %s, socket in %s\n",
		s.PID, time.Since(s.Started).Round(time.Second), plural(s.Calls, "run"), s.Running, plural(s.Editors, "editor"), place.Dir)
	for _, root := range s.Roots {
		fmt.Fprintf(p.stdout, "  %s\n", root)
	}
	return nil
}

// daemonServe is the resident process.
func (p *program) daemonServe() error {
	place, err := client.Find(p.getenv)
	if err != nil {
		daemon.Ready(err)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What is caught here is not ignored in the tests' processes, even where who
	// started this one ignores it: a background shell, nohup.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	log := slog.New(slog.NewTextHandler(p.stderr, nil)).With("pid", os.Getpid())
	return daemon.Serve(ctx, daemon.Options{
		Place: place, Handler: answer, Session: session, Idle: idleTime, Ready: daemon.Ready,
		Log: func(format string, args ...any) { log.Info(fmt.Sprintf(format, args...)) },
	})
}
