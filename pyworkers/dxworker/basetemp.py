"""One folder for the temporary files of a run's workers, in which each has its own: pytest-xdist's layout.

What workers share lies beside their own folders (`tmp_path_factory.getbasetemp().parent`), and must not outlive the run."""
import fcntl
import os
from pathlib import Path


def share(config, fd, name):
    """Has a worker's folder be in the run's, which is made when the first worker needs it. fd: a file that the run's workers
    have in common, empty or with the folder's name."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or factory._given_basetemp is not None or factory._basetemp is not None:
        return  # --basetemp, or it was asked for while the session was configured
    own = factory.getbasetemp

    def getbasetemp():
        if factory._basetemp is None and factory._given_basetemp is None:
            factory._given_basetemp = common(factory, own, fd) / ("popen-" + name)
        return own()

    factory.getbasetemp = getbasetemp


def common(factory, own, fd):
    fcntl.lockf(fd, fcntl.LOCK_EX)
    try:
        folder = known(fd)
        if folder is None:
            folder, factory._basetemp = own(), None
            os.pwrite(fd, os.fsencode(str(folder)), 0)
        return folder
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)


def known(fd):
    """The run's folder, None when no worker has needed it."""
    name = os.fsdecode(os.pread(fd, 1 << 16, 0))
    return Path(name) if name else None


def adopt(config, fd):
    """Has the session that reports keep or remove the workers' folder, as pytest is told."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None and factory._basetemp is None and factory._given_basetemp is None:
        factory._basetemp = known(fd)
