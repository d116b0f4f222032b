"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import os
import sys
from pathlib import Path
from typing import Any

from nst_jax.system.cli import end_at_interrupt, run_cli
from nst_jax.system.hugepages import use_hugepages

if __name__ == "__main__":
    end_at_interrupt()
    use_hugepages()

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from nst_jax.config.compose import as_config, explain
from nst_jax.config.quoting import quote_paths
from nst_jax.config.schema import Config
from nst_jax.distributed import WorkerLost, initialize, is_coordinator, translate_device_errors
from nst_jax.errors import InputError
from nst_jax.runner.prepare import prepare, silenced
from nst_jax.runner.resume import folder_to_resume, resume
from nst_jax.runner.run import conclude, run, run_worker
from nst_jax.sweeps.finish import MembersFailed
from nst_jax.sweeps.folder import is_sweep
from nst_jax.sweeps.member import run_member
from nst_jax.sweeps.resume import resume_sweep
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.data_files import data_folder


def compose() -> Config | None:
    """The config of the run that the command line asks for; None for a sweep, which Hydra has run by then.

    Raises:
        InputError: a group, a key or a value that there is not.
        MembersFailed: some members of the sweep did not end well.
    """
    alone: list[Any] = []

    @hydra.main(version_base="1.3", config_path=str(data_folder("configs")), config_name="config")
    def task(composed: Any) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            run_member(composed)
        else:
            alone.append(composed)

    try:
        task()
    except InputError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(explain(error, arguments=sys.argv[1:])) from error
    return as_config(alone[0]) if alone else None


def _go_on(path: Path) -> int:
    if is_sweep(path):
        resume_sweep(path)
        return 0
    return conclude(*resume(path))


def main() -> int:
    """The command line; returns its exit code: 0, 1 if members of a sweep failed, 2 for bad input, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
    return run_cli(_act)


def _act() -> int:
    # Hydra finds -m only before the first KEY=VALUE.
    sys.argv[1:] = sorted(quote_paths(sys.argv[1:]), key=lambda argument: argument not in ("-m", "--multirun"))
    plan_only = "--plan" in sys.argv[1:]
    sys.argv = [argument for argument in sys.argv if argument != "--plan"]
    if plan_only and {"-m", "--multirun"} & {*sys.argv}:
        raise InputError("--plan must be without -m, which runs a sweep; plan one of its members at a time")
    try:
        if path := folder_to_resume(sys.argv[1:]):
            use_compilation_cache()
            with translate_device_errors():
                return _go_on(path)
        config = compose()
        if not config:
            return 0
        use_compilation_cache()
        if plan_only:
            from nst_jax.runner.plan import show_plan  # which runs have no need of

            show_plan(config)
            return 0
        initialize(config.scale.hosts)
        with translate_device_errors():
            return _run(config)
    except MembersFailed:
        return 1
    except WorkerLost as lost:
        print(f"error: {lost}", file=sys.stderr, flush=True)
        os._exit(1)  # JAX would wait for the process that is lost, and then abort


def _run(config: Config) -> int:
    if not is_coordinator():
        run_worker(prepare(silenced(config)))
        return 0
    return conclude(*run(config), quiet=config.run.quiet)


if __name__ == "__main__":
    sys.exit(main())
