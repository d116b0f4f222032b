"""`python -m nst_jax.run style=starry content=tubingen`: compose the config, run the job, keep the record."""

import sys
from typing import Any

import nst_jax
from nst_jax.system.cli import run_cli, start

if __name__ == "__main__":
    start("-m", "nst_jax.run")

from nst_jax.config.command_line import CommandLine, parse_command_line
from nst_jax.config.compose import from_command_line, import_modules
from nst_jax.config.schema import Config


def main() -> int:
    """Runs the command line; returns 0, 1 if members of a sweep failed, 2 for bad input, 130 when interrupted."""
    return run_cli(_act)


def _act() -> int:
    line = parse_command_line(sys.argv[1:], Config)
    if line.version:
        print(f"nst_jax {nst_jax.__version__}")
        return 0
    import_modules(line.imports)
    if line.works:
        from nst_jax.distributed import check_environment  # and with it JAX, which --help and the like do not need

        check_environment()
    if line.resume:
        return _resume(line)
    sys.argv[1:] = line.hydra
    config = from_command_line("config", Config, _run_member)
    return _run(config, line) if config else 0


def _run_member(composed: Any) -> None:
    from nst_jax.sweeps.member import run_member

    run_member(composed)


def _run(config: Config, line: CommandLine) -> int:
    from nst_jax.distributed import initialize, is_coordinator, translate_device_errors
    from nst_jax.runner.prepare import prepare, silenced
    from nst_jax.runner.run import conclude, run, run_worker
    from nst_jax.system.compilation_cache import use_compilation_cache

    use_compilation_cache()
    if line.plan:
        from nst_jax.runner.plan import show_plan

        show_plan(config)
        return 0
    initialize(config.scale.hosts)
    with translate_device_errors():
        if is_coordinator():
            return conclude(*run(config), quiet=config.run.quiet, as_json=line.json, show=line.open)
        run_worker(prepare(silenced(config)))
        return 0


def _resume(line: CommandLine) -> int:
    from nst_jax.distributed import translate_device_errors
    from nst_jax.runner.resume import resume
    from nst_jax.runner.run import conclude
    from nst_jax.sweeps.folder import is_sweep
    from nst_jax.sweeps.resume import resume_sweep
    from nst_jax.system.compilation_cache import use_compilation_cache

    use_compilation_cache()
    assert line.resume
    with translate_device_errors():
        if not is_sweep(line.resume):
            return conclude(*resume(line.resume, quiet=line.quiet), quiet=line.quiet, as_json=line.json, show=line.open)
        resume_sweep(line.resume)
        return 0


if __name__ == "__main__":
    sys.exit(main())
