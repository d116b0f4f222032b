"""Members of a sweep as tasks of Ray: on this machine, or on a cluster whose machines see the same files at the same paths.

Ray hands out the tasks, and hands one out again whose process was killed; its member then goes on from its last checkpoint.
What has become of each member stands in the sweep's folder, as with any launcher; a task gets a few words and gives none back.
"""

import os
import socket
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext

from nst_jax.config.compose import from_yaml, to_yaml
from nst_jax.errors import InputError, check_ge, check_gt
from nst_jax.runs.manifest import in_start_directory
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.member import Member, compose_member, failed, run_numbered

# Bytes that a head of our own keeps for what tasks give each other, which is nothing: about the least that Ray takes.
_STORE = 100 << 20
_SECONDS = 5.0  # in which a cluster answers


class Cluster:
    """Ray, and what is asked of it: see `hydra_plugins.nst_jax_sweeps.RayLauncherConf`.

    Raises:
        InputError: Ray is not installed, an option is not sound, or nothing answers at the address.
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
        """Connects to the cluster; without an address to one of its own, which no other machine reaches."""
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
        """The task of a member."""
        task = self.ray.remote(**self._options)(perform_there).options(name=f"member {member.number}")
        return task.remote(str(sweep.path), member.number, to_yaml(member.config))


def launch_on_ray(
    cluster: Cluster, context: HydraContext, master: Any, overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """What `hydra/launcher=ray` does: each member as a task of its own."""
    setup_globals()
    members = [compose_member(context, master, line, first + i) for i, line in enumerate(overrides)]
    sweep = SweepFolder(Path(master.hydra.sweep.dir).absolute())
    cluster.connect()
    tasks = {cluster.begin(sweep, member): member for member in members}
    try:
        _follow(cluster, sweep, tasks)
    except KeyboardInterrupt:
        print("stopping: the members that run end with their pictures so far", file=sys.stderr, flush=True)
        for task in tasks:
            cluster.ray.cancel(task)  # which is a Ctrl-C there
        cluster.ray.wait([*tasks], num_returns=len(tasks))
        raise
    return [JobReturn(overrides=line, status=JobStatus.COMPLETED) for line in overrides]


def perform_there(path: str, number: int, config: str) -> None:
    """Runs a member of the sweep in the folder `path`, in a process that Ray has begun; its config is YAML."""
    sweep = SweepFolder(Path(path))
    with in_start_directory(sweep.read()):
        run_numbered(sweep, number, from_yaml(config, f"config of member {number}"))


def _follow(cluster: Cluster, sweep: SweepFolder, tasks: dict[Any, Member]) -> None:
    """Waits for the tasks, taking away those that have ended, and says what has become of their members."""
    total = len(tasks)
    while tasks:
        (task,), _ = cluster.ray.wait([*tasks], num_returns=1)
        member = tasks.pop(task)
        try:
            cluster.ray.get(task)
        except Exception as error:  # where the member itself could not say it
            failed(sweep, member.number, _of_the_task(error, cluster))
        else:
            _tell(sweep, member, f"{total - len(tasks)} of {total}")


def _of_the_task(error: Exception, cluster: Cluster) -> Exception:
    """What a task has ended with: an error of its own, or that of Ray, which has lost its process."""
    if cause := getattr(error, "cause", None):
        return cause
    return InputError(
        f"process of a member must live until its end, got {type(error).__name__} at each of {cluster.retries + 1} tries;"
        " see whether its machine has enough memory"
    )


def _tell(sweep: SweepFolder, member: Member, count: str) -> None:
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
            'hydra/launcher=ray must have Ray installed, got no such package; pip install -e ".[cluster]"'
        ) from error
    return ray


def _check_that_it_answers(address: str) -> None:
    """Ray itself would try for minutes. Raises an OSError or a ValueError."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).split(". ")[0].rstrip(".").lower()
