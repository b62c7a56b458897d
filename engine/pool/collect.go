package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/clock"
)

// stages are what the process of a session that is kept stops at.
var stages = [...]string{pluginsStage, configStage, collectedStage}

// collect makes a session, in use, from the deepest stem that there is.
func (p *Pool) collect(ctx context.Context, s Settings, interpreter, key string, d disk) (*Session, error) {
	for {
		session, err := p.grow(ctx, s, interpreter, key, d)
		if !errors.Is(err, errDoubt) {
			return session, err
		}
		clear(d)
	}
}

// grow is collect, once. The stages that the session comes through become
// stems, where a fork shares nothing but memory with the next one. The error is
// errDoubt when it is to be tried again: the stem is gone then.
func (p *Pool) grow(ctx context.Context, s Settings, interpreter, key string, d disk) (*Session, error) {
	session := &Session{settings: s, vars: s.Env, key: key, keep: true, clock: clock.Or(p.Clock)}
	var again bool
	var err error
	began := time.Now() // before it is known that a stem's files are as they were
	if session.stem, session.process, again, err = p.fork(ctx, s, interpreter, key, d); err != nil {
		return nil, err
	}
	if session.made = session.stem.started; session.stem.stage == interpreterStage {
		began = time.Now()
		session.made = session.clock.Now()
	}
	for fork := true; ; {
		stop := context.AfterFunc(ctx, session.process.kill)
		err = session.advance(fork, again, began, nil)
		stop()
		if err != nil {
			break
		}
		if session.info.Ended != nil || session.info.Stage == collectedStage {
			if st := session.stem.up(pluginsStage); st != nil {
				session.template = st.process
			}
			session.head.finish()
			// One who has gone is met again by the run.
			if err = session.head.tell(s.Stdout, s.Stderr, false); err != nil && !errors.Is(err, syscall.EPIPE) {
				break
			}
			return session, nil
		}
		keep := session.info.Shared == "" && session.seen.racy == ""
		if fork = session.info.Threads == "" && (keep || session.info.Stage == pluginsStage && s.Workers > 0); !fork {
			continue
		}
		if again, err = false, p.plant(session, keep); err != nil {
			break
		}
	}
	if errors.Is(err, errDoubt) {
		p.doubt(session)
	}
	err = session.fail(ctx, err)
	p.leave(session.stem)
	return nil, err
}

// asStem is the process of a session, at the stage where it waits.
func (s *Session) asStem() *stem {
	return &stem{
		stage: s.info.Stage, key: s.key, vars: s.settings.Env, started: s.made, from: s.stem, process: s.process, head: s.head, seen: s.seen,
		args: s.settings.Args, places: s.settings.asks(),
	}
}

// plant makes the process of a session a stem, of this session only where it is
// not to be kept, and has the session go on in a fork.
func (p *Pool) plant(s *Session, keep bool) (err error) {
	s.head.finish()
	st := s.asStem()
	if s.info.Own == "" && s.stem.up(hoistedStage) == nil { // what is loaded ahead is what these places import
		st.wide = s.settings.widely(s.key)
	}
	p.mu.Lock()
	if st.dropped = !keep || st.from.dropped; st.dropped {
		st.users++
	} else {
		p.add(st)
	}
	p.mu.Unlock()
	s.stem, s.head = st, nil
	if s.process, err = st.process.fork(true); err != nil {
		p.mu.Lock()
		p.drop(st)
		p.mu.Unlock()
	}
	return err
}

// advance has the process go on to its next stage. fork: it is one of the
// session's stem, which waits where that did; again: another session's run made
// that; to is what it is told besides.
func (p *Session) advance(fork, again bool, began time.Time, to map[string]any) error {
	message := map[string]any{"op": "go", "stops": stages}
	if at := p.info.Stage; p.settings.Workers > 0 && (at == pluginsStage || fork && (p.stem.stage == pluginsStage || p.stem.stage == hoistedStage)) {
		maps.Copy(message, p.settings.share(stages[:]))
	}
	maps.Copy(message, to)
	var files []*os.File
	var learned []string
	if fork {
		from := p.stem
		p.process.kin = from.root().process.kin.session(p.process.stage.pid)
		p.kin = p.process.kin
		if from.stage == interpreterStage {
			maps.Copy(message, p.begin())
		}
		if from.stage != interpreterStage && !slices.Equal(from.args, p.settings.Args) {
			message["where"] = p.settings.moved(from)
		}
		message["again"], message["environ"] = again, renewal(from.vars, p.settings.Env)
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer null.Close()
		if p.head, err = newHeads(&p.settings, from.head, again); err != nil {
			return err
		}
		out, errors := p.head.files()
		files = []*os.File{null, out, errors}
		if from.stage != interpreterStage {
			for _, name := range []string{"dx-stdout", "dx-stderr"} { // of pytest's capture
				f, err := memory(name, 0)
				if err != nil {
					return err
				}
				defer f.Close()
				files = append(files, f)
			}
			for _, l := range from.root().remembered() {
				learned, files = append(learned, l.path), append(files, l.file)
			}
			if len(learned) > 0 {
				message["learned"] = learned
			}
		}
	}
	if err := p.ask(message, files...); err != nil {
		return err
	}
	if p.info.Doubt != "" {
		return fmt.Errorf("%w: %s", errDoubt, p.info.Doubt)
	}
	var before *seen
	if p.stem != nil && p.stem.stage != interpreterStage {
		before = &p.stem.seen
	}
	p.seen = look(p.info.Files, began, before)
	return nil
}

// begin is what an interpreter without a project is told.
func (p *Session) begin() map[string]any {
	s := &p.settings
	message := map[string]any{
		"argv": append([]string{s.Script}, s.Args...), "args": s.Args, "dir": s.Dir, "path0": s.Path0, "record": s.Record, "keep": p.keep,
	}
	if s.Unittest != nil {
		message["unittest"] = s.Unittest
	}
	if s.Debugged != nil {
		message["debug"] = true
	}
	if s.Coverage != "" {
		message["coverage"] = s.Coverage
	}
	return message
}

// ask has the process go on, and takes what it says then.
func (p *Session) ask(message map[string]any, files ...*os.File) (err error) {
	if err = p.process.stage.send(message, files...); err == nil {
		p.info, err = p.process.stage.receive()
	}
	return err
}

// collect has a process of the session's own, that has imported pytest, go on
// until all is collected.
func (p *Session) collect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.process.kill)
	defer func() { stop() }()
	p.vars = p.settings.Env
	message := p.begin()
	message["op"], message["stops"] = "go", []string{collectedStage}
	if p.settings.Workers > 0 {
		message["stops"] = []string{pluginsStage}
	}
	err := p.ask(message)
	if err == nil && p.info.Stage == debugStage {
		p.settings.Debugged(p.info.Port)
		p.info, err = p.process.stage.receive()
	}
	if err != nil || p.info.Stage != pluginsStage {
		return err
	}
	if p.info.Threads == "" {
		proc, err := p.process.fork(false)
		if err != nil {
			return err
		}
		p.template, p.process = p.process, proc
		stop()
		stop = context.AfterFunc(ctx, func() {
			proc.kill()
			p.template.kill()
		})
	}
	return p.ask(p.settings.share([]string{collectedStage}))
}
