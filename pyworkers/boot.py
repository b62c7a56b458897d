"""Makes the package of dxworker's modules from the bundle that it came with, and starts it.

Arguments: descriptors of the bundle, the control socket and the alive pipe; file for the compiled modules or ""; pytest, functions
(pytest, observed) or unittest.
"""
import sys


def boot(sources):
    import importlib
    import marshal
    import os
    import types
    from importlib.machinery import ModuleSpec
    from importlib.util import find_spec
    control, alive, cache, runs = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    sys.argv[1:] = []
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    try:
        spec = find_spec("_pytest")
    except (ImportError, ValueError):
        spec = None
    # pytest leaves out of its tracebacks what lies in its own folder.
    home = os.path.join(os.path.dirname(spec.origin), "_dx") if spec else "_dx"
    codes = None
    if cache:
        cache += "." + sys.implementation.cache_tag
        try:
            with open(cache, "rb") as f:
                made_in, codes = marshal.loads(f.read())
            if made_in != home:
                codes = None
        except (OSError, ValueError, EOFError, TypeError):
            pass

    class Codes(dict):
        """Compiled as they are needed: a run without stored state needs half of them."""

        def __missing__(self, name):
            self[name] = compile(sources[name], os.path.join(home, name + ".py"), "exec")
            return self[name]

    if codes is None:
        codes = Codes()
        if cache:
            codes = {name: codes[name] for name in sources}
            try:
                os.makedirs(os.path.dirname(cache), 0o700, exist_ok=True)
                with open("%s.%d" % (cache, os.getpid()), "wb") as f:
                    f.write(marshal.dumps((home, codes)))
                os.replace(f.name, cache)
            except OSError:
                pass

    class Loader:
        def create_module(self, spec):
            return None

        def exec_module(self, module):
            exec(codes[module.__spec__.origin], module.__dict__)

    package = types.ModuleType("_dxworker")
    package.__path__ = []
    sys.modules["_dxworker"] = package

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.startswith("_dxworker."):
                return ModuleSpec(name, Loader(), origin=name[10:])

    sys.meta_path.insert(0, Finder)
    for name in ("wire", "hooks", "around", "ring", "observer", "reporter", "coverage", "debugger", "recorder", "nodes", "stage"):
        importlib.import_module("_dxworker." + name)
    stage = sys.modules["_dxworker.stage"]
    stage.finder = Finder
    return stage, control, alive, runs

