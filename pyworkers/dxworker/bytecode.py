"""Compiled modules that are older than their source are not used.

Python's own check, and that of pytest's rewritten modules, compares the source's size and the second of its time: of two edits
within a second that leave the size alone the second is missed. Who runs tests at once behind each edit meets that. Those that are
written here are as old as what they were compiled from: an edit meanwhile makes them older than their source."""
import os
import sys
import time

from .observer import STDLIB

TICK = 20_000_000  # clocks of files tick in ms
HEAD = 16  # bytes of a compiled module in front of its code


def stale(source, compiled):
    """Whether a compiled module may have been written before the source was changed the last time."""
    try:
        return os.stat(source).st_ctime_ns >= os.stat(compiled).st_mtime_ns
    except OSError:
        return False


def hashed(compiled):
    """Whether a compiled module is told by the hash of its source, or is to be used as it is, not by size and time."""
    from importlib import _bootstrap_external as loader
    try:
        with open(compiled, "rb") as f:
            head = f.read(HEAD)
    except OSError:
        return False
    return head[:4] == loader.MAGIC_NUMBER and head[4:8] != bytes(4)


def aged(compiled, before):
    """Makes a compiled module as old as what it was compiled from."""
    try:
        os.utime(compiled, ns=(before, before))
    except OSError:
        pass


known = None  # of reuse.py: what is remembered of files that are about to be compiled
held = {}  # what compiled modules hold behind their heads, and their code, by the paths of their sources


class Unread(str):
    """Where a compiled module is written that is not to be read: the loader asks for the text of a name when it reads."""

    def __str__(self):
        return str.__str__(self) + ".none"


def hold(path):
    """Has a compiled module at hand: where the same is read, its code is taken."""
    from importlib import _bootstrap_external as loader
    try:
        compiled = loader.cache_from_source(path)
        with open(compiled, "rb") as f:
            data = f.read()
        if data[:4] == loader.MAGIC_NUMBER:
            held[path] = data[HEAD:], loader._compile_bytecode(data[HEAD:], path, compiled, path)
    except Exception:
        pass  # who imports it is told


def bring(path, compiled, before):
    """Compiles of an edited module what was edited; returns whether it is written, and at hand."""
    from importlib import _bootstrap_external as loader
    if sys.dont_write_bytecode:
        return False
    try:
        was = os.stat(path)
        code = known.code(path, False)
        now = os.stat(path)
        if code is None or (was.st_mtime_ns, was.st_ctime_ns, was.st_size, was.st_ino) != (now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino):
            return False
        data = loader._code_to_timestamp_pyc(code, int(was.st_mtime), was.st_size)
        loader.SourceFileLoader("", path)._cache_bytecode(path, compiled, data)
        aged(compiled, before)
        with open(compiled, "rb") as f:
            if f.read() != data:
                return False
    except Exception:
        return False  # the whole module is compiled
    held[path] = bytes(data[HEAD:]), code
    return True


def collected():
    """All is imported that anything is known of."""
    global known
    held.clear()
    if known is not None:
        known = known.close()


def install():
    """For all that is imported from here on, but what is installed."""
    from importlib import _bootstrap_external as loader
    find, write, unmarshal = loader.cache_from_source, loader._write_atomic, loader._compile_bytecode
    compiler = loader.SourceFileLoader.source_to_code

    def cache_from_source(path, *args, **kwargs):
        compiled = find(path, *args, **kwargs)
        caller = sys._getframe(1)
        if caller.f_code.co_name != "get_code" or path.startswith(STDLIB) or "site-packages" in path:
            return compiled
        if stale(path, compiled) and not hashed(compiled) or not os.path.exists(compiled):
            before = time.time_ns() - TICK
            # Another loader, or compiler, may make something else of the text.
            theirs = type(caller.f_locals.get("self")) is not loader.SourceFileLoader or loader.SourceFileLoader.source_to_code is not compiler
            if known is not None and not theirs and bring(path, compiled, before):
                return compiled
            compiled = Unread(compiled)
            compiled.before = before
        return compiled

    def _compile_bytecode(data, name=None, bytecode_path=None, source_path=None):
        at_hand = held.pop(source_path, None)  # who imports it twice has it twice
        if at_hand is not None and at_hand[0] == bytes(data):  # a view is compared byte by byte
            return at_hand[1]
        return unmarshal(data, name, bytecode_path, source_path)

    def _write_atomic(path, data, *args, **kwargs):
        if type(path) is not Unread:
            return write(path, data, *args, **kwargs)
        plain = str.__str__(path)
        write(plain, data, *args, **kwargs)
        aged(plain, path.before)

    loader.cache_from_source, loader._write_atomic, loader._compile_bytecode = cache_from_source, _write_atomic, _compile_bytecode


def install_rewritten():
    """For what pytest rewrites from here on."""
    from _pytest.assertion import rewrite
    read, write = getattr(rewrite, "_read_pyc", None), getattr(rewrite, "_write_pyc", None)
    if read is None or write is None:
        return
    before = {}

    def read_pyc(source, pyc, *args, **kwargs):
        before[str(pyc)] = time.time_ns() - TICK
        code = None if stale(str(source), str(pyc)) else read(source, pyc, *args, **kwargs)
        return known.code(str(source), True) if code is None and known is not None else code

    def write_pyc(state, code, stat, pyc):
        done = write(state, code, stat, pyc)
        if done and str(pyc) in before:
            aged(str(pyc), before.pop(str(pyc)))
        return done

    rewrite._read_pyc, rewrite._write_pyc = read_pyc, write_pyc
