"""Members of a sweep as tasks of Ray: on this machine, or on a cluster whose machines see the same files at the same paths.

Ray runs a task again if its process was killed; the member then resumes from its last checkpoint. As with any launcher, the
status of each member is in the sweep's folder; a task takes a few strings and returns nothing.
"""

import os
import socket
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst_jax.config.compose import from_yaml, to_yaml
from nst_jax.errors import InputError, check_ge, check_gt
from nst_jax.runs.manifest import in_start_directory
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.member import Member, failed, run_numbered

# Bytes of the object store of a cluster of our own, which holds nothing: about the least that Ray accepts.
_STORE = 100 << 20
_SECONDS = 5.0  # to wait for a cluster's answer


class Cluster:
    """Ray with the options of `hydra_plugins.nst_jax_sweeps.RayLauncherConf`.

    Raises:
        InputError: Ray is not installed, an option is invalid, or nothing answers at the address.
    """

    def __init__(self, address: str | None, cpus: float, gpus: float, retries: int) -> None:
        check_gt("hydra.launcher.cpus", cpus, 0)
        check_ge("hydra.launcher.gpus", gpus, 0)
        self.retries = check_ge("hydra.launcher.retries", retries, 0)
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
        self._address, self.ray = address, _import_ray(alone=address is None)
        if address is not None:  # before anything is written
            self.connect()

    def connect(self) -> None:
        """Connects to the cluster, or starts one that no other machine can reach."""
        if self.ray.is_initialized():
            return
        own = {"include_dashboard": False, "object_store_memory": _STORE} if self._address is None else {}
        try:
            if self._address not in (None, "auto"):
                _check_that_it_answers(self._address)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # JAX's: the children are other programs
                self.ray.init(self._address or "local", log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                "hydra.launcher.address must be HOST:PORT of a Ray cluster, or null for one on this machine,"
                f" got {self._address} ({_first_sentence(error)}); check it"
            ) from error

    def begin(self, sweep: SweepFolder, member: Member) -> Any:
        """Starts the task of a member."""
        task = self.ray.remote(**self._options)(run_task).options(name=f"member {member.number}")
        return task.remote(str(sweep.path.absolute()), member.number, to_yaml(member.config))


def run_members(cluster: Cluster, sweep: SweepFolder, members: Sequence[Member]) -> None:
    """Runs each member as a task of its own."""
    cluster.connect()
    tasks = {cluster.begin(sweep, member): member for member in members}
    try:
        _follow(cluster, sweep, tasks)
    except KeyboardInterrupt:
        print("stopping: running members end with their pictures so far", file=sys.stderr, flush=True)
        for task in tasks:
            cluster.ray.cancel(task)  # arrives there as a Ctrl-C
        cluster.ray.wait([*tasks], num_returns=len(tasks))
        raise


def run_task(path: str, number: int, config: str) -> None:
    """Runs a member of the sweep in the folder `path`, in a process that Ray started; `config` is YAML."""
    sweep = SweepFolder(Path(path))
    with in_start_directory(sweep.read()):
        run_numbered(sweep, number, from_yaml(config, f"config of member {number}"))


def _follow(cluster: Cluster, sweep: SweepFolder, tasks: dict[Any, Member]) -> None:
    """Waits for the tasks, removing those that have ended, and prints the status of their members."""
    total = len(tasks)
    while tasks:
        (task,), _ = cluster.ray.wait([*tasks], num_returns=1)
        member = tasks.pop(task)
        try:
            cluster.ray.get(task)
        except Exception as error:  # the member itself could not record it
            failed(sweep, member.number, _of_the_task(error, cluster))
        else:
            _print_status(sweep, member, f"{total - len(tasks)} of {total}")


def _of_the_task(error: Exception, cluster: Cluster) -> Exception:
    """The error of a task: its own, or that Ray lost its process."""
    if cause := getattr(error, "cause", None):
        return cause
    return InputError(
        f"process of a member must run to its end, got {type(error).__name__} at each of {cluster.retries + 1} tries;"
        " check whether its machine has enough memory"
    )


def _print_status(sweep: SweepFolder, member: Member, count: str) -> None:
    noted = sweep.read()["members"][member.number]
    if noted["status"] == "failed":
        print(f"error: member {member.number} of the sweep failed: {noted['error']}", file=sys.stderr, flush=True)
    elif not member.config.run.quiet:
        print(f"member {member.number}: {noted['status']}, {count}", file=sys.stderr, flush=True)


def _import_ray(alone: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if alone:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on any system: its servers listen on 127.0.0.1 only
    try:
        import ray
    except ImportError as error:
        raise InputError(
            'hydra/launcher=ray must have Ray installed, got no such package; pip install "nst_jax[cluster]"'
        ) from error
    return ray


def _check_that_it_answers(address: str) -> None:
    """Raises an OSError or a ValueError at once, where Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0].rstrip(".").lower()
