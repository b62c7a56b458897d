"""A process that is debugged: it listens by the user's own debugpy, and goes on when a client has attached."""
import os
import sys

attached = False


def wait(stage):
    """Listens on a free port of the loopback interface, says which, and waits for the client."""
    global attached
    try:
        import debugpy
        port = debugpy.listen(("127.0.0.1", 0))[1]
    except Exception as e:  # not there, or not for this Python
        stage.control.send(failed="debugpy", message="%s: %s" % (type(e).__name__, e))
        os._exit(1)
    attached = True
    stage.control.send(stage="debug", port=port)
    debugpy.wait_for_client()


class NoLimits:
    """Takes the limits away that pytest-timeout knows: a person who reads at a breakpoint is not slow."""

    @staticmethod
    def pytest_timeout_set_timer(item, settings):
        return True

    @staticmethod
    def pytest_configure(config):
        module = sys.modules.get("pytest_timeout")
        if module is None:
            return
        module.SUPPRESS_TIMEOUT = True  # before 2.0 there are no hooks
        expiry = getattr(module, "SESSION_EXPIRE_KEY", None)
        if expiry is not None:
            config.stash[expiry] = 0


def plugins():
    """What pytest gets beside."""
    if not attached:
        return []
    import pytest
    NoLimits.pytest_timeout_set_timer = staticmethod(pytest.hookimpl(tryfirst=True, optionalhook=True)(NoLimits.pytest_timeout_set_timer))
    NoLimits.pytest_configure = staticmethod(pytest.hookimpl(trylast=True)(NoLimits.pytest_configure))
    return [NoLimits()]
