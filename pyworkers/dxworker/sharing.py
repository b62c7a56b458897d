"""Whether several processes may share a session's items, and whether each of them needs a session of its own."""
import os
import sys

from .nodes import measures

# Hooks by which a plugin gathers what happened in its process; of several workers it would see a part.
GATHERING = ("pytest_runtest_logreport", "pytest_sessionfinish", "pytest_terminal_summary", "pytest_unconfigure")
# Modules of distributions that implement one of these, or ask which worker they are in, and gather nothing that others lack.
HARMLESS = ("_pytest.", "_dxworker.", "_hypothesis_pytestplugin.", "hypothesis.", "xdist.", "anyio.", "pytest_asyncio.", "pytest_mock.",
            "pytest_randomly.", "pytest_timeout.", "pytest_django.", "pytest_rerunfailures.")
# Those that do nothing without an option of theirs, by its name.
WITH_OPTION = {
    "pytest_cov.": "cov_source", "pytest_html.": "htmlpath", "pytest_jsonreport.": "json_report", "pytest_reportlog.": "report_log",
    "pytest_metadata.": "htmlpath", "allure_pytest.": "allure_report_dir",
}
# Words of who knows pytest-xdist's two sides.
ASKING = (b"workerinput", b"workeroutput", b"PYTEST_XDIST_", b"pytest_configure_node", b"pytest_testnodedown", b"is_xdist_",
          b"get_xdist_worker_id")


def alone(config, items, loop):
    """Why the items have to run in one process, "" when they need not."""
    if getattr(config.option, "capture", "") == "no":
        return "-s"
    if loop is None:
        return "the loop is pytest's own"
    for module, name in gathering(config):
        if module.startswith("pytest_benchmark."):
            if measures(config.option) and any("benchmark" in getattr(item, "fixturenames", ()) for item in items):
                return "benchmarks are measured"
        elif not knows_workers(module):
            return "%s implements %s" % (module or "a plugin", name)
    return ""


def apart(config, thoroughly):
    """Why each worker needs a session of its own, "" when they can share this one. thoroughly: whether modules of the project
    that were imported are looked at too, such as Django's settings, which name a database for each worker."""
    for module, name in gathering(config):
        if not module.startswith("pytest_benchmark."):
            return "%s implements %s" % (module, name)
    for plugin in config.pluginmanager.get_plugins():
        name, path = getattr(plugin, "__name__", None) or "", getattr(plugin, "__file__", None) or ""
        if not idle(config, name + ".") and path.endswith(".py") and asks(path):
            shown = os.path.relpath(path, str(config.invocation_params.dir)) if os.path.basename(path) == "conftest.py" else name
            return "%s asks which worker it is in" % shown
    if thoroughly:
        root = os.path.join(str(getattr(config, "rootpath", None) or config.rootdir), "")
        for name, module in sorted(sys.modules.items()):
            path = getattr(module, "__file__", None) or ""
            if path.startswith(root) and path.endswith(".py") and "site-packages" not in path and asks(path, (b"PYTEST_XDIST_",)):
                return "%s asks which worker it is in" % name
    return ""


def gathering(config):
    """Modules of plugins that gather, with the hook."""
    for name in GATHERING:
        for impl in getattr(config.hook, name).get_hookimpls():
            module = getattr(impl.function, "__module__", "") or ""
            path = getattr(sys.modules.get(module), "__file__", None) or ""
            if not idle(config, module + ".") and os.path.basename(path) != "conftest.py":
                yield module, name


def idle(config, module):
    """Whether a module, with a dot behind its name, is one of those that nobody needs to look at."""
    return module.startswith(HARMLESS) or any(
        module.startswith(prefix) and not getattr(config.option, option, None) for prefix, option in WITH_OPTION.items())


def knows_workers(module):
    """Whether a plugin's modules that are loaded speak of pytest-xdist's workers: it gathers what they send, then."""
    package = module.rpartition(".")[0] or module
    for name, loaded in list(sys.modules.items()):
        if name == package or name.startswith(package + "."):
            path = getattr(loaded, "__file__", None) or ""
            if path.endswith(".py") and asks(path):
                return True
    return False


def asks(path, words=ASKING):
    """Whether a file's text has one of the words."""
    try:
        with open(path, "rb") as f:
            text = f.read()
    except OSError:
        return False
    return any(word in text for word in words)


def group(item):
    """The name of xdist_group, as pytest-xdist reads it."""
    mark = item.get_closest_marker("xdist_group")
    if mark is None:
        return ""
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
