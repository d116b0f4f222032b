"""Strict arrays for every test: no silent rank or dtype promotion, seeds explicit, x64 only through `jax.enable_x64`."""

import sys
from collections.abc import Callable

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_enable_compilation_cache", False)  # every run of the tests compiles for itself


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`python -m nst_jax.run` with the given arguments: its exit code, standard output and standard error."""
    from nst_jax import run  # a test without it loads no Hydra

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        capfd.readouterr()
        try:
            code = run.main()
        except SystemExit as end:  # Hydra's own
            code = int(end.code or 0)
        said = capfd.readouterr()
        return code, said.out, said.err

    return call
