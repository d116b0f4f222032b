"""The manifest of a run (settings, inputs, versions, hardware, timing), and its part inside the picture, the provenance."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from nst_jax.runs.folder import FORMAT
from nst_jax.system.records import strict_json

CONFIG_TEXT, PROVENANCE_TEXT = "nst_jax config", "nst_jax provenance"  # keywords of the PNG text
_CHECKOUT = Path(__file__).resolve().parents[2]


def begin_manifest(
    *,
    command: Sequence[str],
    kind: str,
    settings: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, Mapping[str, Any]],
    params: Mapping[str, Any],
    notices: Sequence[str] = (),
) -> dict[str, Any]:
    """The manifest of a run that begins, with the environment added here.

    Args:
        command: the command line, or () when called from Python.
        kind: of the run: see `nst_jax.runner.prepare.Kind`.
        settings: the config without its `run` section.
        seed: the seed of the run's random key.
        inputs: role ("content", "style") -> its "sha256", and optionally its "source".
        params: "name" and "sha256" of the network's parameters.
        notices: messages that the user was shown, such as one about a stand-in picture.

    Returns:
        A mapping for `RunFolder.write_manifest`; unknown values are None.
    """
    return {
        "format": FORMAT,
        "status": "running",
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": list(command),
        "directory": os.getcwd(),
        "versions": _versions(),
        "device": _device(),
        "git": _own_git_state(),
        "kind": kind,
        "settings": dict(settings),
        "settings_sha256": sha256_of(settings),
        "seed": seed,
        "inputs": {role: dict(facts) for role, facts in inputs.items()},
        "params": dict(params),
        "notices": list(notices),
    }


def sha256_of(settings: Mapping[str, Any]) -> str:
    """A hash of settings that does not depend on the order of their keys."""
    return hashlib.sha256(strict_json(settings, indent=0).encode()).hexdigest()


@contextmanager
def in_start_directory(manifest: Mapping[str, Any] | None) -> Iterator[None]:
    """Changes to the directory where the run was started, if it still exists."""
    directory = (manifest or {}).get("directory")
    with chdir(directory) if directory and os.path.isdir(directory) else nullcontext():
        yield


def end_manifest(
    begun: Mapping[str, Any], *, status: str, steps: int, seconds: Mapping[str, float], recoveries: int, pixels: int
) -> dict[str, Any]:
    """The manifest of a run that has ended with a picture.

    Args:
        begun: from `begin_manifest`.
        status: "finished" or "interrupted".
        steps: the number of steps made, over all scales.
        seconds: wall-clock seconds by phase: "compile", "steps", "total".
        recoveries: how often the optimizer undid a step and restarted with empty memory.
        pixels: the number of pixels of the picture, for the peak bytes per pixel.
    """
    peaks = {"host": _host_peak_bytes(), "device": _device_peak_bytes()}
    return {
        **begun,
        "status": status,
        "steps": steps,
        "seconds": dict(seconds),
        "recoveries": recoveries,
        "peak_memory_bytes": peaks,
        "peak_bytes_per_pixel": {place: round(peak / pixels) if peak else None for place, peak in peaks.items()},
    }


def provenance(config_yaml: str, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The text inside result.png: everything needed to reproduce the picture, and nothing else.

    It is the same for two equal runs on one machine, so that their files have the same bytes.

    Args:
        config_yaml: the resolved configuration, without its `run` section and the folders of its files.
        manifest: from `end_manifest`.
    """
    device = {key: manifest["device"][key] for key in ("platform", "kind", "count", "cpu")}
    facts = {
        "format": manifest["format"],
        "versions": manifest["versions"],
        "device": device,
        "seed": manifest["seed"],
        "steps": manifest["steps"],
        "inputs": {role: facts["sha256"] for role, facts in manifest["inputs"].items()},
        "params": manifest["params"]["sha256"],
    } | ({"plan": manifest["plan"]} if "plan" in manifest else {})
    return {
        "Software": f"nst_jax {manifest['versions']['nst_jax']}",
        CONFIG_TEXT: config_yaml,
        PROVENANCE_TEXT: strict_json(facts, indent=1),
    }


def _versions() -> dict[str, str | None]:
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow", "nst_jax")
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    first, *_ = devices = jax.devices()
    kind = {"platform": first.platform, "kind": first.device_kind, "count": len(devices)}
    return kind | {"cpu": _cpu_model(), "cores": os.cpu_count()}


def _cpu_model() -> str | None:
    return _proc_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine() or None


def _proc_field(file: str, field: str) -> str | None:
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field)
    return next(values, None)


def _host_peak_bytes() -> int | None:
    resident = _proc_field("/proc/self/status", "VmHWM")
    if resident:  # Linux keeps ru_maxrss over exec: it may be the peak of the parent process
        return int(resident.split()[0]) * 1024
    try:
        import resource  # Windows has none
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_peak_bytes() -> int | None:
    peaks = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()]
    return max((peak for peak in peaks if peak is not None), default=None)


@cache  # it takes 0.1 seconds, and the members of a sweep share a process
def _own_git_state() -> dict[str, Any] | None:
    """The commit that this process was started from."""
    return _git_state(_CHECKOUT)


def _git_state(checkout: Path) -> dict[str, Any] | None:
    if not (checkout / ".git").exists():  # an installed package may lie in another repository
        return None
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=normal"]
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }  # in a hook these point to another repository
    try:
        done = subprocess.run(command, cwd=checkout, env=own, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), None)
    dirty = any(not line.startswith("#") for line in lines)
    return {"commit": commit, "dirty": dirty} if commit != "(initial)" else None
