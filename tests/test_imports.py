"""Imports point inward only: core, then edge, then shell; and a few rules of the public functions."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nst_jax"
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
# Modules of the networks that deal with files; the others there are core.
FILES = tuple(f"nst_jax.networks.{part}" for part in ("weights", "fetch", "saving", "convert"))
# Modules of the inversion that deal with files, configs and the command line.
INVERT_EDGE = tuple(f"nst_jax.invert.{part}" for part in ("__main__", "config", "perform", "restarts", "error", "draw"))
CORE = [
    name
    for name in MODULES
    if name in ("nst_jax.types", "nst_jax.errors")
    or name.startswith(("nst_jax.objective", "nst_jax.optimize"))
    or (name.startswith("nst_jax.invert.") and not name.startswith(INVERT_EDGE))
    or (name.startswith("nst_jax.networks.") and not name.startswith(FILES))
]
CORE_LIBRARIES = {"jax", "flax", "optax", "numpy", "jaxtyping", *sys.stdlib_module_names}
# Each ring from the outside in: a module imports none of an earlier ring.
RINGS = [
    [
        "nst_jax.run",
        "nst_jax.weights",
        "nst_jax.evaluate.__main__",
        "nst_jax.report",
        "nst_jax.watch",
        "nst_jax.replay",
        "nst_jax.invert.__main__",
    ],
    ["nst_jax.sweeps"],
    ["nst_jax.resume"],
    ["nst_jax.api", "nst_jax.perform"],
    ["nst_jax.compose", "nst_jax.preview"],
    ["nst_jax.spec"],
    ["nst_jax.config"],
    ["nst_jax.job"],
    ["nst_jax.optimize"],
    ["nst_jax.objective"],
    ["nst_jax.networks"],
]
# The only modules, or packages, that may import a library.
GATES = {
    "hydra": ["nst_jax.run", "nst_jax.compose", "nst_jax.sweeps", "nst_jax.invert.__main__"],
    "omegaconf": ["nst_jax.run", "nst_jax.compose", "nst_jax.sweeps", "nst_jax.invert.__main__"],
    "yaml": ["nst_jax.compose", "nst_jax.runs.reading", "nst_jax.sweeps.table"],
    "matplotlib": ["nst_jax.runs.plots", "nst_jax.sweeps.pareto", "nst_jax.sweeps.sheet"],
    "bokeh": ["nst_jax.runs.charts"],
    "jinja2": ["nst_jax.runs.page"],
    "markupsafe": ["nst_jax.runs.page"],
    "PIL": ["nst_jax.images"],
    "tifffile": ["nst_jax.images"],
    "tqdm": ["nst_jax.runs.progress", "nst_jax.download"],
    "argparse": [
        "nst_jax.command_line",
        "nst_jax.weights",
        "nst_jax.replay",
        "nst_jax.runs.__main__",
        "nst_jax.images.drawing",
        "nst_jax.evaluate.__main__",
    ],
    "rich": ["nst_jax.evaluate.__main__", "nst_jax.plan", "nst_jax.runs.__main__"],
    "safetensors": ["nst_jax.networks"],
    "google": ["nst_jax.networks.convert_caffe"],
    "pickle": ["nst_jax.networks.convert_lpips", "nst_jax.networks.convert_torch"],
    "av": ["nst_jax.images.film"],
    "orbax": ["nst_jax.runs.checkpoint"],
    "filelock": ["nst_jax.runs.claim", "nst_jax.sweeps.folder"],
    "torch": ["nst_jax.networks.convert_torch"],
    "ray": ["nst_jax.sweeps.cluster"],
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


def test_the_walk_sees_what_is_there():
    assert "nst_jax.job" in IMPORTS["nst_jax.perform"]
    assert "hydra" in IMPORTS["nst_jax.run"]
    assert "matplotlib.figure" in IMPORTS["nst_jax.runs.plots"]  # inside a function
    assert {"nst_jax.networks.convnet", "nst_jax.networks.winograd", "nst_jax.objective.style", "nst_jax.optimize.loop"} < {
        *CORE
    }


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_nothing_but_arrays_and_itself(name: str):
    own = {other for other in IMPORTS[name] if other.startswith("nst_jax")}
    assert own <= {*CORE}
    assert {other.split(".")[0] for other in IMPORTS[name] - own} <= CORE_LIBRARIES


@pytest.mark.parametrize(("inner", "ring"), [(i, ring) for i, ring in enumerate(RINGS) if i])
def test_no_arrow_points_outward(inner: int, ring: list[str]):
    outside = [name for outer in RINGS[:inner] for name in outer]
    assert [(name, other) for name, other in arrows() if is_within(name, ring) and is_within(other, outside)] == []


def test_nothing_imports_a_command_line():
    assert [(name, other) for name, other in arrows() if other in RINGS[0]] == []


@pytest.mark.parametrize("package", ["nst_jax.runs", "nst_jax.images"])
def test_files_and_records_know_nothing_of_the_shell(package: str):
    shell = ["nst_jax.run", "nst_jax.perform", "nst_jax.api", "nst_jax.compose", "nst_jax.config"]
    assert [(name, other) for name, other in arrows() if is_within(name, [package]) and is_within(other, shell)] == []


@pytest.mark.parametrize("library", GATES)
def test_a_library_has_one_gate(library: str):
    importers = {name for name, others in IMPORTS.items() if any(other.split(".")[0] == library for other in others)}
    assert {name for name in importers if not is_within(name, GATES[library])} == set()


def test_importing_the_package_does_not_import_jax():
    code = "import sys, nst_jax; nst_jax.transfer, nst_jax.InputError; print(sorted({'jax', 'flax', 'hydra'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", MODULES)
def test_arguments_are_named_as_everywhere(name: str):
    """A random key is called `key`; the network's parameters come before the image."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert not {"rng", "prng", "random_key"} & {*arguments}
            if "params" in arguments and "image" in arguments:
                assert arguments.index("params") < arguments.index("image")
