"""The facts of a run, and that the part inside the picture is equal for equal runs."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nst_jax.runs import manifest as module
from nst_jax.runs.manifest import CONFIG_TEXT, PROVENANCE_TEXT, begin_manifest, end_manifest, provenance
from nst_jax.system.records import strict_json


def _manifest(**changes: Any) -> dict[str, Any]:
    """The manifest of a run that has ended; `changes` of what it was told at its beginning, or at its end."""
    end = {"status": "finished", "steps": 9, "seconds": {"compile": 1.5}, "recoveries": 2, "pixels": 10}
    begin: dict[str, Any] = {
        "command": ["python", "-m", "nst_jax.run"],
        "kind": "transfer",
        "settings": {"seed": 3},
        "seed": 3,
        "inputs": {"content": {"source": "/home/ana/cat.jpg", "sha256": "c0"}, "style": {"sha256": "5e"}},
        "params": {"name": "vgg19-normalized", "sha256": "9a"},
    }
    end |= {key: changes.pop(key) for key in end.keys() & changes.keys()}
    return end_manifest(begin_manifest(**(begin | changes)), **end)


def test_the_manifest_is_json_and_says_what_ran_on_what():
    manifest = json.loads(strict_json(_manifest(notices=["a drawing stands in"])))
    assert manifest["versions"]["jax"] == jax.__version__
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(manifest["versions"]) >= {"jaxlib", "flax", "optax", "pillow", "nst_jax"}
    assert all(manifest["versions"].values())
    assert manifest["device"]["platform"] == jax.default_backend()
    assert manifest["device"]["count"] == jax.device_count()
    assert manifest["device"]["cores"] == os.cpu_count()
    assert manifest["device"]["cpu"]
    assert (manifest["notices"], manifest["recoveries"], manifest["seed"]) == (["a drawing stands in"], 2, 3)
    assert (manifest["status"], manifest["steps"], manifest["seconds"]) == ("finished", 9, {"compile": 1.5})
    assert abs(datetime.fromisoformat(manifest["started"]) - datetime.now().astimezone()) < timedelta(minutes=1)


def test_what_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch):
    def missing(_package: str) -> str:
        raise module.metadata.PackageNotFoundError

    monkeypatch.setattr(module.metadata, "version", missing)
    assert _manifest()["versions"]["nst_jax"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_of_this_process_and_counts_memory_given_back():
    measure = """if True:
        import numpy as np
        from nst_jax.runs.manifest import _host_peak_bytes
        before = _host_peak_bytes()
        np.ones(100_000_000, np.uint8)
        print(before, _host_peak_bytes())"""
    ballast = np.ones(500_000_000, np.uint8)  # ru_maxrss would hand this process's peak on to its child
    done = subprocess.run([sys.executable, "-c", measure], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert ballast.nbytes > after > 100_000_000
    assert after - before > 50_000_000


def test_provenance_is_the_same_for_two_equal_runs_wherever_and_whenever():
    first = provenance("seed: 3\n", _manifest())
    moved = _manifest(
        command=["elsewhere"],
        seconds={"compile": 9.0},
        inputs={"content": {"source": "copy.jpg", "sha256": "c0"}, "style": {"sha256": "5e"}},
        notices=["said"],
    ) | {"git": {"commit": "other", "dirty": True}, "peak_memory_bytes": {"host": 1, "device": 2}}
    assert provenance("seed: 3\n", moved) == first
    assert "/home/ana" not in str(first)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"steps": 5, "status": "interrupted"},
        {"params": {"name": "vgg19-normalized", "sha256": "other"}},
        {"inputs": {"content": {"sha256": "other"}, "style": {"sha256": "5e"}}},
    ],
)
def test_provenance_differs_when_the_picture_may(change: dict[str, Any]):
    assert provenance("", _manifest(**change)) != provenance("", _manifest())


def test_provenance_holds_config_hashes_versions_and_device():
    text = provenance("seed: 3\n", _manifest())
    assert text[CONFIG_TEXT] == "seed: 3\n"
    facts = json.loads(text[PROVENANCE_TEXT])
    assert facts["inputs"] == {"content": "c0", "style": "5e"}
    assert facts["params"] == "9a"
    assert facts["versions"]["jax"] == jax.__version__
    assert facts["device"]["kind"] == jax.devices()[0].device_kind
    assert all(len(key) < 80 and key.isascii() for key in text)  # as PNG demands of keywords


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    try:
        _git(tmp_path, "init")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    (tmp_path / "tracked").write_text("1")
    _git(tmp_path, "add", "tracked")
    _git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_the_commit_of_a_checkout_and_whether_it_was_changed(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    commit = _git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a hook of another repository
    assert module._git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout / "tracked").write_text("2")
    assert module._git_state(checkout) == {"commit": commit, "dirty": True}


def test_no_commit_outside_a_checkout_or_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    (checkout / "site-packages").mkdir()
    assert module._git_state(checkout / "site-packages") is None  # the repository around it is not ours
    monkeypatch.setenv("PATH", "/nowhere")
    assert module._git_state(checkout) is None


def test_a_repository_without_a_commit_has_none(tmp_path: Path):
    try:
        _git(tmp_path, "init")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert module._git_state(tmp_path) is None
