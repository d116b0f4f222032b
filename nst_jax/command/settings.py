"""The command line of a kind of runs, by settings: a run, a sweep, `--resume DIR`, `--plan`, `--version` or `--help`."""

import sys
from typing import Any

import nst_jax
from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import from_command_line, import_modules
from nst_jax.errors import InputError
from nst_jax.system.cli import run_cli, valid_environment


def run_settings(name: str, schema: type[Any], *, sweeps: bool = True) -> int:
    """Does what `sys.argv` asks for; JAX and what needs it are imported only if that is more than to show something.

    Args:
        name: of the config in the package.
        schema: what it becomes.
        sweeps: whether this kind of runs has sweeps, plans and modules to import.

    Returns:
        The exit code: 0, 1 if members of a sweep failed, 2 for bad input, 130 when interrupted.
    """
    return run_cli(lambda: _act(name, schema, sweeps))


def _act(name: str, schema: type[Any], sweeps: bool) -> int:
    line = parse_command_line(sys.argv[1:], schema)
    if line.version:
        print(f"nst_jax {nst_jax.__version__}")
        return 0
    if not sweeps and (line.plan or line.imports):
        raise InputError(
            f"--plan and --import must be left out for an {schema.kind}; its memory is checked before the first step"
        )
    import_modules(line.imports)
    if line.works:
        with valid_environment():
            from nst_jax.distributed import check_environment

        check_environment()
    if line.resume:
        from nst_jax.sweeps.resume import resume_folder

        return resume_folder(line)
    sys.argv[1:] = line.hydra
    if (config := from_command_line(name, schema, _run_member if sweeps else None)) is None:
        return 0
    from nst_jax.runner.run import run_config

    return run_config(config, line)


def _run_member(composed: Any) -> None:
    from nst_jax.sweeps.member import run_member

    run_member(composed)
