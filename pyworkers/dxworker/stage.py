"""The stages of one pytest.main(): each can fork itself, and goes on to the next when it is told to.

L0 has imported pytest. P has read options, configuration and plugins, no conftest. H has installed modules at hand, see shelf.py.
B1 has loaded the conftests and started the session. L1 has collected. A child of L1 runs items, in a role of roles.py."""
import array
import fcntl
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import struct
import sys
import weakref

from . import bytecode, coverage, debugger, nodes
from .recorder import CONFIGURATION, STDLIB, Recorder, threads
from .ring import high

_length = struct.Struct("<I")
F_SETSIG = 10  # of Linux; fcntl has no name for it


class Control:
    """A stream of JSON messages, each behind its length; descriptors travel with the length."""

    def __init__(self, sock):
        self.sock = sock

    def send(self, **message):
        data = json.dumps(message, default=repr).encode("ascii", "replace")
        self.sock.sendall(_length.pack(len(data)) + data)

    def receive(self):
        """The next message and its descriptors; None when the engine is gone."""
        fds = array.array("i")
        head = b""
        while len(head) < 4:
            part, ancillary, _, _ = self.sock.recvmsg(4 - len(head), socket.CMSG_LEN(16 * fds.itemsize))
            if not part:
                return None, []
            head += part
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        body = b""
        n = _length.unpack(head)[0]
        while len(body) < n:
            part = self.sock.recv(n - len(body))
            if not part:
                return None, []
            body += part
        for fd in fds:
            os.set_inheritable(fd, False)
        return json.loads(body.decode()), list(fds)


class Stage:
    def __init__(self, control, alive):
        """alive: the end of a pipe that the engine holds the other end of."""
        self.control, self.alive, self.watch = control, alive, None
        self.stops = ("L0",)
        self.watch_engine()

    def stop(self, name, **info):
        """Says that a stage is reached and serves it; returns the message that lets this process, or a fork of it, go on."""
        if name not in self.stops:
            return {}, []
        # An interrupt from the keyboard is for what runs, not for what waits.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.control.send(stage=name, **info)
        try:
            return self._serve()
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)

    def _serve(self):
        while True:
            message, fds = self.control.receive()
            if message is None:
                os._exit(0)
            op = message["op"]
            if op == "go":
                self.stops = tuple(message.get("stops", ()))
                return message, fds
            if op == "fork":
                self._fork(message, fds)
            elif op == "reap":
                try:
                    pid, status = os.waitpid(message["pid"], os.WNOHANG)
                except ChildProcessError:
                    pid, status = 1, -1
                self.control.send(status=status if pid else None)
            elif op == "settle":
                settle_garbage()
            elif op == "learn":
                later("reuse").learned(message["path"], message["rewritten"], fds[0], self.control)
            elif op == "touch":
                make_ready(self.control.sock, message.get("modules") or ())
            elif op == "exit":
                os._exit(0)

    def watch_engine(self):
        """The kernel ends this process when the engine is gone, whatever Python code is running: a signal is asked for when the
        other end of a pipe is closed. Owner and flags belong to an open file, so each process opens its own."""
        own = os.open("/proc/self/fd/%d" % self.alive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        fd = high(own)
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        if self.watch is not None:
            os.close(self.watch)
        self.watch = fd

    def _fork(self, message, fds):
        fresh = socket.socket(fileno=high(fds[0]))
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self.control.sock.close()
            self.control.sock = fresh
            self.watch_engine()
            if message.get("group"):
                os.setpgid(0, 0)
        else:
            fresh.close()
            self.control.send(forked=pid)


class Plugin:
    """Stops pytest between its stages, and hears of every report."""

    def __init__(self, stage, recorder, keep):
        """keep: more runs may follow."""
        self.stage, self.recorder, self.keep = stage, recorder, keep
        self.reporter = None
        self.role = None  # of roles.py, in a process that runs items
        self.side = None  # of nodes.py, where the items are shared out
        self.functions = None  # of functions.py, where they are observed
        self.asked = None  # of where.py, in a session of which others may be made
        self.shelf = None  # of shelf.py, while tests are collected
        self.faster = ()  # of rewriting.py and factories.py, until they are
        self.siblings = None  # of siblings.py
        self.cold = True  # this is no fork of a process that waited for the project's next session

    def light(self, index):
        """Whether only pytest itself hears of an item's passed phases."""
        loop = self.role.loop
        return loop is not None and loop.infos[index].light and not loop.registry.changed

    def install(self):
        """Decorates the hooks; pytest is imported by then."""
        import pytest
        cls = type(self)
        for name in ("pytest_configure", "pytest_sessionstart", "pytest_collection", "pytest_collectstart", "pytest_collection_finish",
                     "pytest_runtestloop", "pytest_runtest_logreport", "pytest_report_teststatus"):
            setattr(cls, name, pytest.hookimpl(tryfirst=True)(getattr(cls, name)))
        for name in ("pytest_load_initial_conftests", "pytest_cmdline_main"):
            setattr(cls, name, pytest.hookimpl(hookwrapper=True, tryfirst=True)(getattr(cls, name)))
        for name in ("pytest_configure", "pytest_sessionstart"):
            setattr(cls.Last, name, pytest.hookimpl(trylast=True)(getattr(cls.Last, name)))

    def pytest_load_initial_conftests(self, early_config, args):
        if self.asked is not None:
            self.asked.early(early_config, args)
        if self.recorder is not None:
            self.recorder.observe(early_config.rootpath if hasattr(early_config, "rootpath") else early_config.rootdir)
        message = self.pause("P", early_config)
        if "shelf" in message:
            message = self.shelve(message, early_config)
        self.side = nodes.side(message)
        if self.side is not None:
            self.side.early(early_config)
        yield

    def shelve(self, message, config):
        """Records what this session imports, or has it at hand for forks."""
        shelf = later("shelf")
        told = message["shelf"]
        if not told:
            self.shelf = shelf.Recording(config, self.recorder)
        else:
            self.shelf = shelf.Loaded(config, self.recorder, told["record"], told["without"])
            self.shelf.control = self.stage.control
            message = self.pause("H", config, unsafe=self.shelf.unsafe)
        self.shelf.begin()
        return message

    def shelved(self):
        """All is collected, or pytest has ended before."""
        kept, self.shelf = self.shelf, None
        return kept.finish() if kept is not None else None

    def pytest_cmdline_main(self, config):
        if self.side is not None:
            self.side.main(config)
        yield

    def pytest_configure(self, config):
        if self.asked is not None:
            self.asked.configure(config)
        if self.side is not None:
            self.side.configure(config)

    class Last:
        """What has to be behind the hooks of plugins that are loaded later."""

        def __init__(self, plugin):
            self.plugin = plugin

        def pytest_configure(self, config):
            if self.plugin.side is not None:
                self.plugin.side.last(config)

        def pytest_sessionstart(self, session):
            if self.plugin.side is not None:
                self.plugin.side.start(session)

    def pytest_sessionstart(self, session):
        if self.side is not None:
            self.side.configure(session.config)

    def pytest_collection(self, session):
        self.pause("B1", session.config)
        if self.asked is not None:
            self.asked.end(session.config)

    def pause(self, name, config, **info):
        """Stops where forks may go on for several sessions, and returns what this one is told; it gets files of its own, and has
        begun now."""
        if name not in self.stage.stops:
            return {}
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # a test may have replaced them
            if stream is not None:
                stream.flush()
        seen = {}
        if name == "B1":
            if self.recorder is not None:
                seen = self.recorder.state(config)
        else:  # nothing of the project's is there yet: in forks the collector need not look at what is
            gc.collect()
            gc.freeze()
            if self.recorder is not None:
                seen = self.recorder.state(config, looked_for=CONFIGURATION)
        if self.asked is not None:
            seen["own"] = self.asked.told(config)
        message, fds = self.stage.stop(name, threads=threads(), **dict(seen, **info))
        if self.recorder is not None:
            self.recorder.forked(self.stage.control.sock.fileno(), self.stage.watch)
        if not fds:
            return message
        from .around import own_capture_files  # not at the top: these need pytest
        from .roles import as_if_new, new_output
        new_output(config, fds[:3])
        own_capture_files(config, fds[3:5])
        if "learned" in message:
            if bytecode.known is not None:
                bytecode.known.close()
            bytecode.known = later("reuse").Known(message["learned"], fds[5:])
        renew(message.get("environ"))
        if self.shelf is not None:
            self.shelf.renewed(message.get("environ"))
        if message.get("again"):
            as_if_new(config)
            self.cold = False
        doubt = ""
        try:
            os.getcwd()
        except OSError:
            doubt = "the folder is another by now"  # with the same name
        if "where" in message and not self.asked.move(config, message["where"]):
            doubt = "pytest was told other arguments"
        if doubt:
            self.stage.control.send(stage=name, doubt=doubt)
            os._exit(0)
        return message

    def pytest_collectstart(self, collector):
        self.siblings.starts(collector)

    def pytest_collection_finish(self, session):
        self.siblings.end()

    def pytest_runtestloop(self, session):
        option = session.config.option
        if session.testsfailed and not option.continue_on_collection_errors or option.collectonly:
            return None  # pytest's own implementation says so, or does nothing
        imports = self.shelved()
        for faster in self.faster:
            faster.end()
        bytecode.collected()
        from .roles import Run  # not at the top: it needs pytest
        run = Run(session, self)
        seen = self.recorder.stop(session.config, session.items) if self.recorder is not None else {}
        if self.keep:
            if self.cold:
                settle_garbage()
            sys.stdout.flush()  # what was printed is printed again for a next run
            sys.stderr.flush()
        message, fds = self.stage.stop("L1", imports=imports, **run.describe(), **seen)
        run.run(message, fds)
        return True

    def pytest_runtest_logreport(self, report):
        if self.reporter is not None:
            self.reporter.logreport(report)

    def pytest_report_teststatus(self, report):
        if getattr(report, "dx_crash", False):
            return "error", "E", "ERROR"
        return None

    def pytest_warning_recorded(self, warning_message, when, nodeid):
        if self.reporter is not None and when == "runtest":
            self.reporter.warning(warning_message, when, nodeid)


finder = None  # of these modules; out of the way once what most runs need is there


def later(name):
    """A module of ours that not every run needs."""
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("_dxworker." + name)
    finally:
        sys.meta_path.remove(finder)


def make_ready(sock, modules):
    """Takes, before the run, the copies that a fork makes of its parent's pages when it counts references, and has compiled modules
    at hand; until somebody asks for something else."""
    if select.select([sock], [], [], 0.02)[0]:
        return  # a run follows at once
    for path in modules:
        bytecode.hold(path)
        if select.select([sock], [], [], 0)[0]:
            return
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    objects = gc.get_objects()
    if frozen:
        gc.freeze()
    for k in range(0, len(objects), 5000):
        for _ in objects[k:k + 5000]:
            pass
        if select.select([sock], [], [], 0)[0]:
            return


def settle_garbage():
    """Keeps the collector, in all forks, from walking what was made by now: it would copy every page. Where somebody looks at
    the collector's objects they all have to be there."""
    gc.collect()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if getattr(module, "gc", None) is gc and not name.startswith(("_pytest.", "_dxworker.")) and (
                not path.startswith(STDLIB) or "site-packages" in path):
            gc.unfreeze()
            return
    frozen_files.extend(weakref.ref(file) for file in open_files())
    gc.freeze()


def renew(variables):
    """Sets what the environment of the run has of its own: {name: [value of the stage, value of the run]}. What the project's
    code has set stays."""
    for name, (before, now) in (variables or {}).items():
        if os.environ.get(name) == before:
            if now is None:
                del os.environ[name]
            else:
                os.environ[name] = now


def enter(message, fds):
    """Makes this process that of a project: its output, arguments, folder and the first place where it looks for modules."""
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    renew(message.get("environ"))
    sys.argv[:] = message["argv"]
    os.chdir(message["dir"])
    if message.get("path0"):
        sys.path.insert(0, message["path0"])


def main(control, alive, runs):
    """Runs in the interpreter that the engine started, under its bootstrap. runs: pytest, unittest, or functions: pytest, to see
    which functions its tests enter."""
    stage = Stage(Control(socket.socket(fileno=high(control))), high(alive))
    if runs == "unittest":
        from . import unittests
        sys.meta_path.remove(finder)
        unittests.main(stage, enter, finish)
    functions = None
    if runs == "functions":
        from .functions import Functions
        functions = Functions()
    try:
        import pytest
    except ImportError as e:
        stage.control.send(failed="import", message=str(e))
        os._exit(1)
    from . import factories, rewriting, roles, siblings
    if functions is not None:
        from . import alone
    sys.meta_path.remove(finder)
    message, fds = stage.stop("L0")
    enter(message, fds)
    if message.get("debug"):
        debugger.wait(stage)
    if message.get("coverage"):
        coverage.start(stage, message["coverage"])
    recorder = None
    if message.get("keep"):
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # as at the interpreter's start
    if message.get("keep") or message.get("record"):
        recorder = Recorder()
    bytecode.install()
    bytecode.install_rewritten()
    plugin = Plugin(stage, recorder, message.get("keep", False))
    plugin.faster = rewriting.Faster(), factories.Faster()
    for faster in plugin.faster:
        faster.begin()
    plugin.siblings = siblings.Siblings()
    plugin.functions = functions
    if message.get("keep"):
        plugin.asked = later("where").Watch()
    plugin.install()
    try:
        status = int(pytest.main(message["args"], plugins=[plugin, plugin.Last(plugin)] + debugger.plugins()))
    except BrokenPipeError:  # who reads the output has had enough, as `head`
        status = 1  # as the interpreter ends for it
        silence()
    except BaseException as e:  # it passes through pytest, from a conftest
        status = uncaught(e)
    try:
        if coverage.active is not None:
            coverage.active.stop()  # before it is stopped at exit, and forgets
        finish()
        if plugin.role is None:
            plugin.shelved()
            stage.control.send(ended=status)
        else:
            plugin.role.finish(status)
    finally:
        os._exit(status & 0xff)


def uncaught(error):
    """Says what the interpreter would have said, and returns its exit status, or a shell's name for it."""
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return error.code or 0
    if isinstance(error, SystemExit):
        print(error.code, file=sys.stderr)
    else:
        import traceback
        traceback.print_exception(type(error), error, error.__traceback__.tb_next)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def silence():
    """What is still printed goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        os.dup2(null, fd)
    os.close(null)


def finish():
    """What the interpreter does at its end, but for the tearing down of modules."""
    import atexit
    import threading
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # a test may have replaced them
        flush(stream)
    for file in open_files() + [ref() for ref in frozen_files]:
        flush(file)


def flush(file):
    try:
        file.flush()
    except Exception:
        pass  # as the interpreter: closed, or a pipe that nobody reads


frozen_files = []  # weak references to what the collector does not list any more


def open_files():
    """Files that are open for writing, of the objects that the collector knows."""
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    return [o for o in gc.get_objects() if type(o) in kinds and not o.closed]
