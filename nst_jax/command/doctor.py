"""`nst-jax doctor`: what is installed, on which device it runs, which folders can be written, and what to do."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from nst_jax.errors import InputError
from nst_jax.images.named import cache_folder as images_folder
from nst_jax.networks.params import store
from nst_jax.system.atomic_write import can_write
from nst_jax.system.cli import Parser, run_cli
from nst_jax.system.compilation_cache import use_compilation_cache
from nst_jax.system.memory import available_bytes

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "hydra-core", "numpy", "pillow")
_OTHERS = ("cuda", "tpu", "dev", "docs", "bench", "training", "inversion", "all")  # extras that are not shown


class Finding(NamedTuple):
    """A line of the report: what was looked at, what was found, and what to do about it, if anything."""

    what: str
    found: str
    advice: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report; returns 0, or 1 if something must be done before a picture can be made."""
    Parser(prog="nst-jax doctor", description=__doc__).parse_args(arguments)
    return run_cli(_report)


def _report() -> int:
    wrong = False
    advice: list[str] = []
    for finding in findings():
        mark = "!" if finding.advice else " "
        print(f"{mark} {finding.what:<12} {finding.found}")
        if finding.advice:
            advice.append(f"{finding.what}: {finding.advice}")
            wrong |= finding.what in ("parameters", "results")
    print("\nto do:" if advice else "\nEverything is there. Try: nst-jax astronaut wave --preset fast")
    print("".join(f"  {line}\n" for line in advice), end="")
    return int(wrong)


def findings() -> Iterator[Finding]:
    """Looks at one thing after the other."""
    yield Finding(
        "nst-jax", f"{metadata.version('nst-jax')} on Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    yield Finding("packages", ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES))
    yield _device()
    free = available_bytes(1)
    yield Finding("memory", "unknown" if free is None else f"{free / 2**30:.1f} GiB free on the device")
    yield _parameters()
    yield from _extras()
    yield _writable("results", Path("runs"), "change to a folder of your own, or give run.dir=DIR")
    use_compilation_cache()
    import jax

    compiled = jax.config.values["jax_compilation_cache_dir"]
    yield (
        Finding("compiled", "not kept", "set JAX_COMPILATION_CACHE_DIR to a folder")
        if compiled is None
        else _writable("compiled", Path(compiled), "set JAX_COMPILATION_CACHE_DIR to a folder of your own")
    )
    yield _writable("pictures", images_folder(), "set XDG_CACHE_HOME to a folder of your own")
    yield _writable("networks", store.cache_folder(), "set NST_JAX_WEIGHTS to a folder of your own")


def _device() -> Finding:
    import jax

    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        return Finding("device", f"none: {' '.join(str(error).split())[:100]}", "unset JAX_PLATFORMS, or install that platform")
    kind = f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform}), {os.cpu_count()} processor cores"
    if devices[0].platform == "cpu" and (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists()):
        return Finding("device", f"{kind}; an NVIDIA GPU is there but JAX has no CUDA", 'pip install "nst-jax[cuda13]"')
    return Finding("device", kind)


def _parameters() -> Finding:
    found = "vgg19 as it should be"
    try:
        entry = store.entry_of("vgg19-normalized")
        if path := store.path_of(entry):
            store.read_verified(entry, path)
            return Finding("parameters", found)
        found = "vgg19 is missing"
    except (InputError, OSError) as error:
        found = f"vgg19: {error}"
    return Finding("parameters", found, "pip install --force-reinstall --no-deps nst-jax")


def _extras() -> Iterator[Finding]:
    extras: dict[str, list[str]] = {}
    for line in metadata.requires("nst-jax") or []:
        if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line):
            extras.setdefault(found[2], []).append(found[1])
    shown = {extra: names for extra, names in extras.items() if not extra.startswith(_OTHERS)}
    parts = [f"{extra}{'' if all(map(_is_installed, names)) else ' (no)'}" for extra, names in shown.items()]
    yield Finding("extras", f'{", ".join(parts)}; more by pip install "nst-jax[NAME]"')


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _writable(what: str, folder: Path, advice: str) -> Finding:
    return Finding(what, str(folder)) if can_write(folder) else Finding(what, f"{folder} cannot be written", advice)


if __name__ == "__main__":
    sys.exit(main())
