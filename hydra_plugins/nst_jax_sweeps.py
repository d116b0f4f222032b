"""What nst_jax adds to Hydra, which looks for plugins in `hydra_plugins`: a sweeper that keeps a record, and launchers.

Hydra imports this file at the start of every program that uses it: nothing else is imported before it is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class RecordedSweeperConf:
    """`hydra/sweeper=recorded`.

    Attributes:
        params: settings of all members, as on a command line: `{loss.style_weight: "1,10"}`; the command line goes first.
        grids: further settings, each item a grid of its own, one after the other.
        trials: how many members a search makes; 0 is no search but every combination.
        at_once: trials that are launched together, the next of which learn from them.
        score: of `nst_jax.evaluate`, such as lpips_alex+0.25*style_w2_vgg16: the table gets it, and a search makes it small.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.RecordedSweeper"
    params: dict[str, Any] | None = None
    grids: list[dict[str, Any]] | None = None
    trials: int = 0
    at_once: int = 4
    score: str = ""


@dataclass
class BatchedLauncherConf:
    """`hydra/launcher=batched`.

    Attributes:
        members: at most so many in one program; null is as many as memory holds.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.BatchedLauncher"
    members: int | None = None


@dataclass
class RayLauncherConf:
    """`hydra/launcher=ray`.

    Attributes:
        address: HOST:PORT of a cluster, or auto for the one that this machine belongs to; null begins one on this machine.
        cpus: of a member, of those that the machines have: so many members run at once.
        gpus: likewise; a member with 0 sees none.
        retries: how often a member whose process was killed is taken up again.
    """

    _target_: str = "hydra_plugins.nst_jax_sweeps.RayLauncher"
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3


ConfigStore.instance().store(group="hydra/sweeper", name="recorded", node=RecordedSweeperConf, provider="nst_jax")
ConfigStore.instance().store(group="hydra/launcher", name="batched", node=BatchedLauncherConf, provider="nst_jax")
ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConf, provider="nst_jax")


class RecordedSweeper(Sweeper):
    """Runs every combination of the listed values, or a search, and leaves the record of `nst_jax.sweeps.folder`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)
        self._context, self._master = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Runs the members that the command line asks for."""
        from nst_jax.sweeps.sweep import Sweep, run_sweep

        run_sweep(Sweep(self._context, self._master, self._launcher), arguments, **self.options)


class BatchedLauncher(Launcher):
    """Runs members that differ only in weights, seeds, initial images and pictures of one size in one program."""

    def __init__(self, members: int | None) -> None:
        self.members = members

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""
        self._context, self._master = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs members, the first of which has the number `initial_job_idx`."""
        from nst_jax.sweeps.launchers.batched import launch_batched

        return launch_batched(self._context, self._master, job_overrides, initial_job_idx, self.members)


class RayLauncher(Launcher):
    """Runs each member as a task of Ray, on this machine or on a cluster."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before anything else."""
        from nst_jax.sweeps.launchers.ray import Cluster

        self._context, self._master, self._cluster = hydra_context, config, Cluster(**self.options)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs members, the first of which has the number `initial_job_idx`."""
        from nst_jax.sweeps.launchers.ray import launch_on_ray

        return launch_on_ray(self._cluster, self._context, self._master, job_overrides, initial_job_idx)
