"""Traced programs on disk: used where they fit, never where anything differs, and made anew where they are damaged."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from nst_jax.job import export_cache as traced


class Pair(NamedTuple):
    """What the program takes and gives."""

    first: jax.Array
    second: jax.Array | None


jax.export.register_namedtuple_serialization(Pair, serialized_name="pair")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = {name: jax.config.values[name] for name in ("jax_compilation_cache_dir", "jax_enable_compilation_cache")}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    yield tmp_path / "traced"
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


PAIR = Pair(jnp.arange(3.0), None)


def lower(times: list[int], key: object = "double", value: Pair = PAIR) -> Pair:
    """Runs a program, and notes in `times` that it was traced."""

    def double(pair: Pair) -> Pair:
        times.append(1)
        return pair._replace(first=2 * pair.first)

    return traced.lower_cached(jax.jit(double), key, value).compile()(value)


def test_a_program_is_traced_once_and_gives_the_same_tree_of_arrays(folder: Path):
    times: list[int] = []
    for _ in range(2):
        result = lower(times)
        assert isinstance(result, Pair)
        assert result.second is None
        np.testing.assert_array_equal(result.first, [0, 2, 4])
    assert len(times) == 1
    assert len(list(folder.iterdir())) == 1


def test_nothing_is_kept_where_jax_keeps_nothing(folder: Path):
    times: list[int] = []
    jax.config.update("jax_enable_compilation_cache", False)
    for _ in range(2):
        lower(times)
    assert len(times) == 2
    assert not folder.exists()


def test_another_key_shape_or_setting_is_another_program(folder: Path):
    times: list[int] = []
    lower(times, value=Pair(jnp.arange(4.0), None))
    lower(times, value=Pair(jnp.arange(5.0), None))
    lower(times, key="other", value=Pair(jnp.arange(4.0), None))
    with jax.default_matmul_precision("highest"):
        lower(times, key="other", value=Pair(jnp.arange(4.0), None))
    assert len(times) == 4


def test_a_damaged_file_is_written_anew(folder: Path):
    times: list[int] = []
    lower(times)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    lower(times)
    assert len(times) == 2
    assert len(file.read_bytes()) == len(whole)


def test_a_key_that_names_an_address_is_not_kept(folder: Path):
    lower([], key=object())
    assert not folder.exists()


def test_the_programs_last_used_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traced, "MAX_FILES", 2)
    for number in range(4):
        lower([], key=number)
    assert len(list(folder.iterdir())) == 2
