"""Compiling programs ahead of the runs that need them: they are kept on disk, so that a later run loads them."""

from collections.abc import Callable

from nst_jax import job
from nst_jax.job.compile import compile_programs
from nst_jax.runner.prepare import Prepared


def compile_ahead(prepared: Prepared, wanted: Callable[[], bool] = lambda: True) -> None:
    """Compiles the programs of a run, scale by scale, as long as they are `wanted`."""
    for stage in job.make_stages(prepared.inputs, prepared.spec):
        if not wanted():
            return
        compile_programs(job.compile_key(prepared.params, stage, prepared.spec))
