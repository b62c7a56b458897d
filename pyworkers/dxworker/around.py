"""What pytest's own plugins put around each phase of a test, arranged once for many: capture, logging, warnings, assertion."""
import logging
import os
import sys
import warnings

lseek = os.lseek  # bound here: a test may patch it for its time


class Unsupported(Exception):
    """The installed pytest, or an option, is one that the fast loop does not stand for. The text is the reason."""


class Capture:
    """Global capture stays on from phase to phase; what was written is read only when something was.

    SEEK_END, not the offset, tells: a child of the test that opens /dev/stdout anew does not move our offset."""

    def __init__(self, config):
        self.manager = cm = config.pluginmanager.get_plugin("capturemanager")
        self.on = False
        self.streams = ()
        if cm is None or cm._global_capturing is None:
            return
        streams = []
        for name, cap in (("stdout", cm._global_capturing.out), ("stderr", cm._global_capturing.err)):
            kind = type(cap).__name__
            if cap is None or kind == "NoCapture":
                continue
            if kind == "FDCapture":
                streams.append((name, cap.syscapture.tmpfile, cap.tmpfile.fileno()))
            elif kind == "SysCapture":
                streams.append((name, cap.tmpfile, None))
            else:
                raise Unsupported("capture by " + kind)
        self.streams = tuple(streams)
        for attribute in ("_capture_fixture", "activate_fixture", "deactivate_fixture", "read_global_capture",
                          "resume_global_capture", "suspend_global_capture"):
            getattr(cm, attribute)

    def resume(self):
        if not self.on:
            if self.manager is not None:
                self.manager.resume_global_capture()
            self.on = True

    def suspend(self):
        if self.on:
            if self.manager is not None:
                self.manager.suspend_global_capture(in_=False)
            self.on = False

    def begin(self):
        if not self.on:
            self.resume()
        for name, stream, _ in self.streams:
            if getattr(sys, name) is not stream:
                setattr(sys, name, stream)
        if self.manager is not None and self.manager._capture_fixture is not None:
            self.manager.activate_fixture()

    def end(self, item, when):
        cm = self.manager
        if cm is None:
            return
        if cm._capture_fixture is not None:
            cm.deactivate_fixture()
        for _, stream, fd in self.streams:
            if (lseek(fd, 0, os.SEEK_END) if fd is not None else stream.tell()):
                out, err = cm.read_global_capture()
                item.add_report_section(when, "stdout", out)
                item.add_report_section(when, "stderr", err)
                return


def own_capture_files(config, fds):
    """Forked processes share the offset of pytest's capture files: gives this one the engine's files, which outlive it, with
    what was captured before."""
    cm = config.pluginmanager.get_plugin("capturemanager")
    capturing = cm and cm._global_capturing
    for cap, fd in zip((capturing and (capturing.out, capturing.err)) or (), fds):
        try:
            old = cap.tmpfile.fileno()
        except (AttributeError, OSError, ValueError):
            continue  # in memory
        captured = os.fstat(old).st_size
        if captured:
            os.write(fd, os.pread(old, captured, 0))
        os.dup2(fd, old, inheritable=False)
        if cap._state == "started":
            os.dup2(old, cap.targetfd)
    for fd in fds:
        os.close(fd)


class Logs:
    """Both of pytest's handlers stay attached; records are new in each phase, streams when they were written."""

    def __init__(self, config, stash):
        from _pytest import logging as plugin
        self.plugin = lp = config.pluginmanager.get_plugin("logging-plugin")
        if lp is None:
            return
        if lp._log_cli_enabled():
            raise Unsupported("log_cli")
        self.stash = stash
        self.level = lp.log_level
        # pytest attaches to loggers that do not propagate since 9.1
        self.others = "attached_loggers" in getattr(plugin.catching_logs, "__slots__", ())
        self.root_level = logging.root.level
        self.run_level = self.root_level if self.level is None else min(self.root_level, self.level)
        self.handlers = (lp.caplog_handler, lp.report_handler)
        self.records_key = getattr(plugin, "caplog_records_key", None) or plugin.catch_log_records_key
        self.handler_key = getattr(plugin, "caplog_handler_key", None) or plugin.catch_log_handler_key
        self.extra = []
        lp.caplog_handler.records

    def begin(self, item, when):
        if self.plugin is None:
            return
        stash = self.stash(item)
        if when == "setup":
            stash[self.records_key] = {}
            stash[self.handler_key] = self.handlers[0]
        self.attach(stash[self.records_key], when)

    def both(self, item):
        """begin() of setup and call, when nothing is logged in a setup."""
        if self.plugin is not None:
            stash = self.stash(item)
            stash[self.records_key] = records = {"setup": []}
            stash[self.handler_key] = self.handlers[0]
            self.attach(records, "call")

    def attach(self, records, when):
        caplog, report = self.handlers
        root = logging.root
        if caplog not in root.handlers:
            root.addHandler(caplog)
        if report not in root.handlers:
            root.addHandler(report)
        if self.others:
            for logger in root.manager.loggerDict.values():
                if not getattr(logger, "propagate", True):
                    for handler in self.handlers:
                        if handler not in logger.handlers:
                            logger.addHandler(handler)
                            self.extra.append(logger)
        if self.level is not None:
            if root.level != self.run_level:
                root.setLevel(self.run_level)
            for handler in self.handlers:
                if handler.level != self.level:
                    handler.setLevel(self.level)
        for handler in self.handlers:
            handler.records = []
            if handler.stream.tell():
                handler.stream = type(handler.stream)()
        records[when] = caplog.records

    def end(self, item, when):
        if self.plugin is None:
            return
        report = self.handlers[1]
        if report.records:
            item.add_report_section(when, "log", report.stream.getvalue().strip())
        if when == "teardown":
            self.forget(item)

    def forget(self, item):
        if self.plugin is not None:
            stash = self.stash(item)
            del stash[self.records_key]
            del stash[self.handler_key]

    def detach(self):
        if self.plugin is None:
            return
        for handler in self.handlers:
            logging.root.removeHandler(handler)
            for logger in self.extra:
                logger.removeHandler(handler)
        del self.extra[:]
        if self.level is not None:
            logging.root.setLevel(self.root_level)


class Warnings:
    """pytest's filters for all tests that have none of their own, put back before each."""

    def __init__(self, config):
        self.config, self.entered = config, None
        self.per_item = None
        if not config.pluginmanager.hasplugin("warnings"):
            return
        if getattr(sys.flags, "context_aware_warnings", 0):
            raise Unsupported("context_aware_warnings")
        from _pytest import warnings as plugin
        self.per_item = plugin.catch_warnings_for_item
        bump = getattr(warnings, "_filters_mutated", None)
        if bump is None:
            held = warnings._filters_mutated_lock_held
            lock = warnings._lock

            def bump():
                with lock:
                    held()
        self.bump = bump
        warnings._showwarnmsg_impl

    def enter(self):
        if self.entered is not None or self.per_item is None:
            return
        outer = warnings.catch_warnings(record=True)
        outer.__enter__()
        catch = getattr(self.config, "_catch_configured_warnings", None)
        inner = catch(record=True) if catch else self.per_item(config=self.config, ihook=self.config.hook, when="runtest", item=None)
        log = inner.__enter__()
        if log is None:  # before 9: the list is the manager's own, ours takes its place
            log = []
            warnings._showwarnmsg_impl = log.append
        self.log = log
        self.filters, self.snapshot = warnings.filters, list(warnings.filters)
        self.show, self.show_impl = warnings.showwarning, warnings._showwarnmsg_impl
        self.entered = outer, inner

    def leave(self):
        if self.entered is not None:
            outer, inner = self.entered
            self.entered = None
            del self.log[:]
            inner.__exit__(None, None, None)
            outer.__exit__(None, None, None)

    def begin(self):
        if warnings.filters is not self.filters:
            warnings.filters = self.filters
        if self.filters != self.snapshot:
            self.filters[:] = self.snapshot
        if warnings.showwarning is not self.show:
            warnings.showwarning = self.show
        if warnings._showwarnmsg_impl is not self.show_impl:
            warnings._showwarnmsg_impl = self.show_impl
        self.bump()  # forgets what was warned of before, as a new context does

    def end(self, item):
        for message in self.log[:]:
            item.ihook.pytest_warning_recorded.call_historic(
                kwargs=dict(warning_message=message, nodeid=item.nodeid, when="runtest", location=None))
        del self.log[:]


class Assertions:
    """A comparison's explanation is made by pytest's own wrapper, entered only when a comparison fails."""

    def __init__(self, config):
        from _pytest import assertion
        from _pytest.assertion import util
        self.plugin, self.util, self.config = assertion, util, config
        self.used = config.pluginmanager.hasplugin("assertion")
        self.has_config = hasattr(util, "_config")
        util._reprcompare, util._assertion_pass

    def begin(self, item):
        util = self.util
        self.saved = util._reprcompare, util._assertion_pass
        if self.used:
            self.item = item
            util._reprcompare = self.explain
            if self.has_config:
                util._config = self.config

    def end(self):
        self.util._reprcompare, self.util._assertion_pass = self.saved

    def explain(self, op, left, right):
        util = self.util
        mine = util._reprcompare
        wrapper = self.plugin.pytest_runtest_protocol(item=self.item)
        next(wrapper)
        try:
            return util._reprcompare(op, left, right)
        finally:
            try:
                wrapper.close()
            finally:
                util._reprcompare = mine
                if self.has_config:
                    util._config = self.config
