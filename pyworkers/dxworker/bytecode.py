"""Compiled modules that are older than their source are not used.

Python's own check, and that of pytest's rewritten modules, compares the source's size and the second of its time: of two edits
within a second that leave the size alone the second is missed. Who runs tests at once behind each edit meets that."""
import os

from .observer import STDLIB


def stale(source, compiled):
    """Whether a compiled module may have been written before the source was changed the last time (clocks of files tick in ms)."""
    try:
        return os.stat(source).st_ctime_ns >= os.stat(compiled).st_mtime_ns
    except OSError:
        return False


known = None  # of reuse.py: what is remembered of files that are about to be rewritten


def install():
    """For all that is imported from here on, but what is installed."""
    from importlib import _bootstrap_external as loader
    find = loader.cache_from_source

    def cache_from_source(path, *args, **kwargs):
        compiled = find(path, *args, **kwargs)
        if not path.startswith(STDLIB) and "site-packages" not in path and stale(path, compiled):
            raise NotImplementedError  # what the loader takes for "has none": it compiles, and writes nothing
        return compiled

    loader.cache_from_source = cache_from_source


def install_rewritten():
    """For what pytest rewrites from here on."""
    from _pytest.assertion import rewrite
    read = getattr(rewrite, "_read_pyc", None)
    if read is None:
        return

    def read_pyc(source, pyc, *args, **kwargs):
        code = None if stale(str(source), str(pyc)) else read(source, pyc, *args, **kwargs)
        return known.code(str(source)) if code is None and known is not None else code

    rewrite._read_pyc = read_pyc
