"""Compiled programs are kept in the user's cache folder, unless the user says otherwise."""

import os
import stat
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


def test_a_home_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "nst_jax").write_text("a file where the folder would be")
    for _ in range(2):
        cache.use_compilation_cache()
    assert folder_in_use() is None
    assert ["JAX_COMPILATION_CACHE_DIR" in record.message for record in caplog.records] == [True]


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "nst_jax").mkdir()
    (tmp_path / "nst_jax").chmod(0o777)
    cache.use_compilation_cache()
    assert folder_in_use() is None
    assert str(tmp_path / "nst_jax") in caplog.text


def test_folders_are_made_for_the_user_alone(tmp_path: Path):
    before = os.umask(0)
    try:
        cache.use_compilation_cache()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "nst_jax").rglob("*")} == {0o700}


def test_a_remote_folder_is_left_to_jax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    jax.config.update("jax_compilation_cache_dir", "gs://bucket/cache")
    cache.use_compilation_cache()
    assert not list(tmp_path.iterdir())
