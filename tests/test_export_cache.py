"""Traced programs on disk: used where everything agrees, made again where a file is damaged."""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from nst_jax.job import export_cache as traced
from nst_jax.networks import Conv, NetworkSpec, register_architecture
from nst_jax.networks.architectures import ARCHITECTURES
from nst_jax.objective import STYLE_DISTANCES, ObjectiveSpec, register_style_distance
from nst_jax.objective.statistics import SquaredError


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = {name: jax.config.values[name] for name in ("jax_compilation_cache_dir", "jax_enable_compilation_cache")}
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    yield tmp_path / "traced"
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


PAIR = SquaredError(jnp.arange(3.0), None)  # pyright: ignore[reportArgumentType]


def lower(times: list[int], key: object = "double", value: SquaredError = PAIR) -> SquaredError:
    """Runs a program, and notes in `times` that it was traced."""

    def double(pair: SquaredError) -> SquaredError:
        times.append(1)
        return pair._replace(entries=2 * pair.entries)

    return traced.lower_cached(jax.jit(double), key, value).compile()(value)


def test_a_program_is_traced_once_and_gives_the_same_tree_of_arrays(folder: Path):
    times: list[int] = []
    for _ in range(2):
        result = lower(times)
        assert isinstance(result, SquaredError)
        assert result.sum is None
        np.testing.assert_array_equal(result.entries, [0, 2, 4])
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
    lower(times, value=PAIR._replace(entries=jnp.arange(4.0)))
    lower(times, value=PAIR._replace(entries=jnp.arange(5.0)))
    lower(times, key="other", value=PAIR._replace(entries=jnp.arange(4.0)))
    with jax.default_matmul_precision("highest"):
        lower(times, key="other", value=PAIR._replace(entries=jnp.arange(4.0)))
    assert len(times) == 4


@pytest.mark.parametrize("place", [0, 70, 200, -1])
def test_a_damaged_file_is_replaced(folder: Path, place: int):
    times: list[int] = []
    lower(times)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= 1
    for content in (bytes(damaged), whole[:100], b""):
        file.write_bytes(content)
        np.testing.assert_array_equal(lower(times).entries, [0, 2, 4])
        assert file.read_bytes().split(b"\n")[0] == hashlib.sha256(file.read_bytes().split(b"\n", 1)[1]).hexdigest().encode()
    assert len(times) == 4


@dataclass(frozen=True)
class Goal:
    """A key of a class that is not the package's."""

    value: float = 1.0


def own_distance(measured, target):
    return jnp.sum(measured.sum - target.sum)


def spec_of(name: str) -> ObjectiveSpec:
    return ObjectiveSpec(NetworkSpec(), ("relu1_1",), ("relu1_1",), style_distance=name)


def test_what_code_of_others_decides_is_not_kept(folder: Path):
    register_style_distance("own", own_distance)
    try:
        for key in (object(), Goal(), own_distance, lambda x: x, spec_of("own"), functools.partial(own_distance, 1)):
            lower([], key=key)
        assert not folder.exists()
        lower([], key=spec_of("gram"))
        assert len(list(folder.iterdir())) == 1
    finally:
        del STYLE_DISTANCES["own"]


def test_another_function_or_table_of_the_same_name_is_another_spec():
    try:
        specs = []
        for factor in (1, 100):
            register_style_distance("own", lambda m, t, factor=factor: factor * own_distance(m, t))
            register_architecture("own", [Conv("1_1", 8 * factor)])
            specs.append(replace(spec_of("own"), network=NetworkSpec("own")))
            specs.append(spec_of("own"))
        assert len({*specs}) == 4
    finally:
        del STYLE_DISTANCES["own"], ARCHITECTURES["own"]


def test_sources_changed_since_the_import_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traced, "IMPORTED_AT", 0.0)
    traced._sources.cache_clear()
    lower([])
    traced._sources.cache_clear()
    assert not folder.exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_others_can_write_is_not_used(folder: Path, mode: int, caplog: pytest.LogCaptureFixture):
    folder.mkdir()
    folder.chmod(mode)
    for _ in range(2):
        lower([])
    assert not list(folder.iterdir())
    assert [str(folder) in record.message for record in caplog.records] == [True]


def test_a_remote_cache_makes_no_local_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path):
    monkeypatch.chdir(tmp_path)
    jax.config.update("jax_compilation_cache_dir", "gs://bucket/cache")
    assert traced._path("key", ()) is None
    assert not list(tmp_path.iterdir())


def test_the_programs_last_used_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traced, "MAX_FILES", 2)
    for number in range(4):
        lower([], key=number)
    assert len(list(folder.iterdir())) == 2
