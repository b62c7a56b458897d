"""pytest-xdist's two sides: the session that reports, with a node for each worker, and a worker's own session.

No gateway and no channel is behind a node: the engine carries what they would."""
import marshal
import os
import sys


def tell(values):
    """A dict as text for another process of this interpreter. Raises ValueError for what pytest-xdist could not send either."""
    return marshal.dumps(values).hex()


def told(text):
    return marshal.loads(bytes.fromhex(text))


def stand_for(options, workers, dist):
    """Sets what `-n` sets, for plugins that look before the conftests are loaded; pytest-xdist itself looks later."""
    options.numprocesses, options.dist = workers, dist


class RInfo:
    platform, version_info, executable = sys.platform, sys.version_info, sys.executable
    version = sys.version

    def __init__(self):
        self.pid = os.getpid()
        try:
            self.cwd = os.getcwd()
        except OSError:  # it is gone
            self.cwd = None


class Spec:
    """A process of this machine, as execnet's XSpec says it."""
    popen, chdir, python, ssh, socket, via = True, None, None, None, None, None

    def __init__(self, name):
        self.id = name

    def __str__(self):
        return "popen//id=" + self.id


class Gateway:
    def __init__(self, name):
        self.id, self.spec, self._info = name, Spec(name), RInfo()

    def _rinfo(self, update=False):
        return self._info


class Nodes:
    """The node manager."""

    def __init__(self, config, workers):
        self.config, self.roots = config, []
        self.testrunuid = getattr(config.option, "testrunuid", None) or os.urandom(16).hex()
        self.gateways = [Gateway("gw%d" % k) for k in range(workers)]
        self.specs = [g.spec for g in self.gateways]


class Node:
    """What plugins know of a worker in the session that reports: pytest-xdist's WorkerController."""

    def __init__(self, manager, gateway, config):
        self.nodemanager, self.gateway, self.config = manager, gateway, config
        self.workerinput = {"workerid": gateway.id, "workercount": len(manager.specs), "testrunuid": manager.testrunuid, "mainargv": sys.argv}
        self.shutting_down = False

    def __repr__(self):
        return "<WorkerController %s>" % self.gateway.id

    def ready(self):
        info = self.gateway._rinfo()
        self.workerinfo = {
            "version": info.version, "version_info": tuple(info.version_info), "sysplatform": info.platform, "platform": info.platform,
            "executable": info.executable, "cwd": info.cwd, "id": self.gateway.id, "spec": self.gateway.spec}


class Controller:
    """The side of the session that reports."""

    def __init__(self, workers, dist):
        self.workers, self.dist = workers, dist
        self.nodes, self.inputs, self.untold = [], [], ""

    def early(self, config):
        options = config.known_args_namespace
        if by_function(options):
            self.untold = "coverage's dynamic_context is test_function"
        else:
            stand_for(options, self.workers, self.dist)

    def main(self, config):
        pass

    def configure(self, config):
        """Sets what conftests and plugins read of `-n`. pytest-xdist distributes only where there is a tx, too."""
        option = config.option
        if hasattr(option, "numprocesses") and hasattr(option, "tx") and not self.untold:
            option.numprocesses, option.dist = self.workers, self.dist

    def last(self, config):
        """Behind all who configure, and before pytest-benchmark, which would not measure."""
        if measures(config.option):
            self.hide(config)

    def start(self, session):
        if self.untold:
            return
        config = session.config
        manager = Nodes(config, self.workers)
        hook(config, "pytest_xdist_setupnodes", config=config, specs=manager.specs)
        for gateway in manager.gateways:
            node = Node(manager, gateway, config)
            self.nodes.append(node)
            hook(config, "pytest_configure_node", node=node)
            try:
                self.inputs.append(tell(dict(node.workerinput, mainargv=[str(a) for a in sys.argv])))
            except ValueError:
                self.untold = "a plugin gives its workers what cannot be sent"

    def up(self, slot, items):
        """A worker is to run items."""
        node = self.nodes[slot]
        node.ready()
        hook(node.config, "pytest_testnodeready", node=node)
        hook(node.config, "pytest_xdist_node_collection_finished", node=node, ids=[item.nodeid for item in items])

    def down(self, slot, said):
        """A worker has finished, or died."""
        node = self.nodes[slot]
        if said.get("output") is not None:
            node.workeroutput = told(said["output"])
        hook(node.config, "pytest_testnodedown", node=node, error=said.get("error"))

    def hide(self, config):
        if hasattr(config.option, "numprocesses"):
            config.option.numprocesses, config.option.dist = 0, "no"

    def alone(self, config):
        """This session runs the items after all."""
        self.hide(config)
        cov = getattr(config.pluginmanager.get_plugin("_cov"), "cov_controller", None)
        if hasattr(cov, "node_descs") and hasattr(cov, "get_node_desc"):
            cov.node_descs.add(cov.get_node_desc(sys.platform, sys.version_info))  # it waits for workers to name theirs


class Slot:
    """The side of a worker, from before its conftests and plugins are configured."""

    def __init__(self, values, workers, dist):
        self.values, self.workers, self.dist = values, workers, dist
        self.name = values["workerid"]

    def early(self, config):
        environment(self.values)
        stand_for(config.known_args_namespace, self.workers, self.dist)

    def main(self, config):
        config.workerinput, config.workeroutput = self.values, {}
        option = config.option
        if hasattr(option, "numprocesses"):
            option.loadgroup, option.looponfail, option.distload = self.dist == "loadgroup", False, False
            option.dist, option.numprocesses, option.maxprocesses = "no", None, None
        option.usepdb = False
        reruns = sys.modules.get("pytest_rerunfailures")
        if hasattr(reruns, "works_with_current_xdist") and not config.pluginmanager.hasplugin("xdist"):
            reruns.works_with_current_xdist = lambda: True  # else a worker does not tell of tests that are run again
        if option.basetemp:
            os.makedirs(option.basetemp, exist_ok=True)
            option.basetemp = os.path.join(option.basetemp, "popen-" + self.name)

    def configure(self, config):
        pass

    last = configure

    def start(self, session):
        pass


def side(message):
    """The side that the engine has given a process at P; None for neither."""
    if "input" in message:
        return Slot(told(message["input"]), message["workers"], message["dist"])
    if "workers" in message:
        return Controller(message["workers"], message["dist"])
    return None


def environment(values):
    """The variables that pytest-xdist sets in its workers."""
    os.environ["PYTEST_XDIST_TESTRUNUID"] = values["testrunuid"]
    os.environ["PYTEST_XDIST_WORKER"] = values["workerid"]
    os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(values["workercount"])


def measures(option):
    """Whether pytest-benchmark is to measure: it would not when tests are distributed."""
    return hasattr(option, "benchmark_disable") and not (
        option.benchmark_skip or option.benchmark_disable and not option.benchmark_enable)


def by_function(options):
    """Whether coverage names contexts by itself: pytest-cov refuses that where tests are distributed."""
    if not getattr(options, "cov_source", None) or getattr(options, "no_cov", False):
        return False
    try:
        from coverage import Coverage
        return Coverage(config_file=options.cov_config).config.dynamic_context == "test_function"
    except Exception:
        return False  # pytest-cov meets it, too, and says so


def hook(where, name, **kwargs):
    """Calls a hook that only pytest-xdist specifies, if anybody implements it."""
    caller = getattr(where.hook, name, None)
    if caller is not None:
        caller(**kwargs)


def output(config, session, status):
    """What a worker's session ends with, for its node."""
    values = dict(config.workeroutput, exitstatus=status, shouldfail=session.shouldfail, shouldstop=session.shouldstop)
    try:
        return {"output": tell(values)}
    except ValueError:
        return {"error": "the worker's workeroutput cannot be sent"}
