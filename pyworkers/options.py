"""Tells how many words behind them options take, which only the conftests and plugins know that pytest loads before it parses.

Its arguments: names as JSON, the first entry of sys.path, the script's name, and then pytest's."""
import json
import os
import sys

names, sys.path[0], sys.argv[0] = json.loads(sys.argv.pop(1)), sys.argv.pop(1), sys.argv.pop(1)
out = os.dup(1)
null = os.open(os.devnull, os.O_WRONLY)
os.dup2(null, 1)
os.dup2(null, 2)
try:
    from _pytest.config import get_config
    config = get_config(sys.argv[1:])
    try:
        config.pluginmanager.hook.pytest_cmdline_parse(pluginmanager=config.pluginmanager, args=sys.argv[1:])
    except BaseException:
        pass  # a mistake of the command line is told by the run; what options there are is known
    parser = getattr(config._parser, "optparser", None) or config._parser._getparser()
    known = parser._option_string_actions
    library = os.path.dirname(os.__file__)
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    said = {"takes": {name: str(1 if known[name].nargs is None else known[name].nargs) for name in names if name in known},
            "files": sorted(f for f in files if f and not f.startswith(library) and "site-packages" not in f)}
    data = json.dumps(said).encode("ascii")
    while data:
        data = data[os.write(out, data):]
finally:
    os._exit(0)
