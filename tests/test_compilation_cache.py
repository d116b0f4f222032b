"""Compiled programs are kept in the user's cache folder, unless the user says otherwise."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from nst_jax.system import compilation_cache as cache

SETTINGS = [name for name in jax.config.values if "compilation_cache" in name or "persistent_cache" in name]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {name: jax.config.values[name] for name in SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def folder_in_use() -> str | None:
    return jax.config.values["jax_compilation_cache_dir"]


def test_the_folder_is_named_after_jax_and_the_processor(tmp_path: Path):
    cache.use_compilation_cache()
    folder = Path(folder_in_use() or "")
    assert folder.is_dir()
    assert folder.parent == tmp_path / "nst_jax" / "compiled"
    assert folder.name.startswith(f"{jax.__version__}-")
    assert jax.config.values["jax_compilation_cache_max_size"] == cache.MAX_BYTES


def test_another_processor_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache.use_compilation_cache()
    here = folder_in_use()
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(cache.Path, "read_text", lambda *_, **__: "model name : another\nflags : fpu")
    cache.use_compilation_cache()
    assert folder_in_use() not in (None, here)


def test_the_users_own_folder_is_kept(tmp_path: Path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    cache.use_compilation_cache()
    assert folder_in_use() == str(tmp_path / "own")
    assert not (tmp_path / "nst_jax").exists()


def test_a_home_that_cannot_be_written_goes_without(tmp_path: Path):
    (tmp_path / "nst_jax").write_text("a file where the folder would be")
    cache.use_compilation_cache()
    assert folder_in_use() is None
