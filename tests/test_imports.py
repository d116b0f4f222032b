"""Imports point inward only: core, then edge, then shell; and a few rules of the public functions."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nst_jax"
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
# Rings from the outside in: a module imports from its own ring and from inner ones. A package stands for all in it that has no
# place of its own, except those of `INTERFACES`, whose modules are placed one by one.
INTERFACES = ("nst_jax", "nst_jax.networks")
RINGS = [
    [
        "nst_jax.__main__",
        "nst_jax.run",
        "nst_jax.replay",
        "nst_jax.watch",
        "nst_jax.studio.__main__",
        "nst_jax.weights",
        "nst_jax.evaluate.__main__",
        "nst_jax.invert.__main__",
        "nst_jax.video.__main__",
        "nst_jax.report.__main__",
        "nst_jax.runs.__main__",
    ],
    ["nst_jax.studio"],
    ["nst_jax.command"],
    ["nst_jax", "nst_jax.api"],
    ["nst_jax.sweeps"],
    ["nst_jax.runner", "nst_jax.invert.run", "nst_jax.invert.config", "nst_jax.invert.restarts", "nst_jax.video"],
    ["nst_jax.report"],
    ["nst_jax.evaluate"],
    ["nst_jax.runs"],
    ["nst_jax.config"],
    ["nst_jax.job"],
    ["nst_jax.images", "nst_jax.networks", "nst_jax.networks.params"],
    ["nst_jax.invert"],
    ["nst_jax.optimize"],
    ["nst_jax.objective"],
    ["nst_jax.partition"],
    [f"nst_jax.networks.{name}" for name in ("adain", "convnet", "layers", "architectures", "ops")],
    ["nst_jax.system"],
    ["nst_jax.distributed"],
    ["nst_jax.types", "nst_jax.errors"],
]
# Pure functions of arrays: no files, no terminal, no configs.
CORE_RINGS = [
    "nst_jax.invert",
    "nst_jax.optimize",
    "nst_jax.objective",
    "nst_jax.partition",
    "nst_jax.networks.convnet",
    "nst_jax.types",
]
CORE_LIBRARIES = {"jax", "flax", "optax", "numpy", "jaxtyping", *sys.stdlib_module_names}
# The only modules, or packages, that may import a library.
GATES = {
    "hydra": ["nst_jax.config.compose", "nst_jax.sweeps"],
    "omegaconf": ["nst_jax.config.compose", "nst_jax.sweeps"],
    "yaml": ["nst_jax.config.compose", "nst_jax.system.records"],
    "matplotlib": ["nst_jax.report.plots", "nst_jax.sweeps.figures.contact_sheet"],
    "bokeh": ["nst_jax.report.charts"],
    "jinja2": ["nst_jax.report.templates"],
    "markupsafe": ["nst_jax.report.templates"],
    "PIL": ["nst_jax.images"],
    "tifffile": ["nst_jax.images.tiff", "nst_jax.images.files"],
    "waitress": ["nst_jax.report.server"],
    "pydantic": [
        "nst_jax.config",
        "nst_jax.invert.config",
        "nst_jax.video.config",
        "nst_jax.runs.schema",
        "nst_jax.sweeps.folder",
        "nst_jax.system.records",
    ],
    "argparse": [
        "nst_jax.command.arguments",
        "nst_jax.system.cli",
        "nst_jax.weights",
        "nst_jax.replay",
        "nst_jax.runs.__main__",
        "tools.neckarfront",
        "nst_jax.evaluate.__main__",
    ],
    "rich": [
        "nst_jax.evaluate.__main__",
        "nst_jax.runner.plan",
        "nst_jax.runs.__main__",
        "nst_jax.runs.progress",
        "nst_jax.system.download",
    ],
    "safetensors": ["nst_jax.networks"],
    "google": ["nst_jax.networks.params.convert.caffe"],
    "pickle": ["nst_jax.networks.params.convert.pickles"],
    "av": ["nst_jax.images.video"],
    "cv2": ["nst_jax.studio.regions", "nst_jax.video.flow"],
    "orbax": ["nst_jax.runs.state_arrays"],
    "filelock": ["nst_jax.runs.lock", "nst_jax.sweeps.folder", "nst_jax.studio.folder"],
    "gradio": ["nst_jax.studio"],
    "fastapi": ["nst_jax.studio.server"],
    "uvicorn": ["nst_jax.studio.server"],
    "rawpy": ["nst_jax.images.decode"],
    "torch": [],
    "ray": ["nst_jax.sweeps.launchers.ray"],
}


def imported(file: Path) -> set[str]:
    """The full names of the modules that a file imports, wherever in it; types that only a checker sees are left out."""
    tree = ast.parse(file.read_text("utf-8"))
    unseen = {id(node) for part in ast.walk(tree) if is_type_checking(part) for node in ast.walk(part)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in unseen:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in unseen:
            assert node.level == 0, f"{file}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module or ""}
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


IMPORTS = {name: imported(file) for name, file in MODULES.items()}


def is_within(name: str, packages: list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def arrows() -> Iterator[tuple[str, str]]:
    for name, others in IMPORTS.items():
        yield from ((name, other) for other in sorted(others) if other.split(".")[0] == "nst_jax")


def ring_of(name: str) -> int:
    """The number of a module's ring, 0 the outermost.

    Raises:
        KeyError: it is in none.
    """
    prefixes = {prefix: number for number, ring in enumerate(RINGS) for prefix in ring}
    found = [p for p in prefixes if name == p or (p not in INTERFACES and name.startswith(f"{p}."))]
    if not found:
        raise KeyError(name)
    return prefixes[max(found, key=len)]


def core() -> list[str]:
    rings = {ring_of(name) for name in CORE_RINGS}
    return [name for name in MODULES if ring_of(name) in rings]


def test_the_walk_sees_what_is_there():
    assert "nst_jax.job" in IMPORTS["nst_jax.runner.run"]
    assert "hydra" in IMPORTS["nst_jax.config.compose"]
    assert "matplotlib.figure" in IMPORTS["nst_jax.report.plots"]  # inside a function
    assert {"nst_jax.networks.convnet", "nst_jax.networks.ops.winograd", "nst_jax.objective.style"} < {*core()}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_in_a_ring_and_imports_inward(name: str):
    own = ring_of(name)
    assert [other for other in sorted(IMPORTS[name] & MODULES.keys()) if ring_of(other) < own] == []


@pytest.mark.parametrize("name", core())
def test_the_core_imports_nothing_but_arrays_and_itself(name: str):
    own = {other for other in IMPORTS[name] if other.startswith("nst_jax")}
    assert own - {"nst_jax.distributed"} <= {*core()}
    assert {other.split(".")[0] for other in IMPORTS[name] - own} <= CORE_LIBRARIES


def test_no_module_is_imported_in_a_circle():
    graph = {name: others & MODULES.keys() for name, others in IMPORTS.items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_nothing_imports_a_command_line():
    assert [(name, other) for name, other in arrows() if other in RINGS[0]] == []


@pytest.mark.parametrize("name", RINGS[0])
def test_a_command_line_prepares_its_process_before_anything_imports_jax(name: str):
    body = ast.parse(MODULES[name].read_text("utf-8")).body
    assert next(node.module for node in body if isinstance(node, ast.ImportFrom) and "nst_jax" in str(node.module)) == (
        "nst_jax.system.cli"
    )


@pytest.mark.parametrize("library", GATES)
def test_a_library_has_one_gate(library: str):
    importers = {name for name, others in IMPORTS.items() if any(other.split(".")[0] == library for other in others)}
    assert {name for name in importers if not is_within(name, GATES[library])} == set()


@pytest.mark.parametrize("name", MODULES)
def test_arguments_are_named_as_everywhere(name: str):
    """A random key is called `key`; the network's parameters come before the image."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert not {"rng", "prng", "random_key"} & {*arguments}
            if "params" in arguments and "image" in arguments:
                assert arguments.index("params") < arguments.index("image")
