"""Strict arrays for every test: no silent rank or dtype promotion, seeds explicit, x64 only through `jax.enable_x64`."""

import atexit
import gc
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

# One cache of compiled programs for all workers and subprocesses of a test run, empty as it begins. NST_JAX_TEST_CACHE names a
# folder that is kept, for those who run the same tests again and again.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    kept = os.environ.get("NST_JAX_TEST_CACHE")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = kept or tempfile.mkdtemp(prefix="nst_jax-tests-")
    if not kept:
        atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA comments on each program that it loads
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the command lines: its threads wait for each other in busy loops

# Programs are compiled without LLVM's optimizations and without the fusion emitters, in a third of the time; products and
# convolutions are library calls either way. Later releases of XLA do not know the second flag, and end at one unknown.
flags = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags])

import jax
import jax.monitoring
import pytest

# Tracing leaves many objects that live on; looking through them again and again takes a tenth of the time.
gc.set_threshold(100_000, 50, 100)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@contextmanager
def _running(command: Sequence[Any], **options: Any) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()  # or a test that fails would wait for its end


@pytest.fixture(scope="session")
def running() -> "Callable[..., AbstractContextManager[subprocess.Popen[str]]]":
    """A context manager, `running(command, **options)`: a process that ends with the block at the latest."""
    return _running


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """What XLA has compiled, or loaded from its cache on disk, since the test began; the test may clear it."""
    found: list[str] = []
    listen = lambda event, *_, **__: found.append(event) if "backend_compile" in event else None  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.jit(lambda x: 2 * x + 1)(1.0)
    assert found  # what is compiled is heard of
    found.clear()
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(autouse=True)
def verbosity() -> None:
    """The package logs again what it does, after a quiet run in the same process."""
    logging.getLogger("nst_jax").setLevel(logging.NOTSET)


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
