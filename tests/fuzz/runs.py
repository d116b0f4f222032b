"""Damaged run folders, records, checkpoints and cached programs: what was there, or one line; nothing else is touched."""

import contextlib
import io
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nst_jax.config.compose import from_yaml
from nst_jax.images.files import write_image
from nst_jax.replay import _record
from nst_jax.report import run_page
from nst_jax.runs.__main__ import main
from nst_jax.runs.checkpoint import Checkpoints, latest
from nst_jax.runs.folder import FORMAT, RunFolder
from nst_jax.runs.manifest import CONFIG_TEXT, PROVENANCE_TEXT
from tests import test_checkpoint, test_export_cache, test_runs
from tests.fuzz.harness import damage

WRONG = (None, [], {}, "", "x", "[/bold]", "\ud800", "${oc.env:HOME}", "../../x", -1, 1e300, True, [[[[1]]]], {"a": {"b": 1}})


def _change_json(text: str, rng: np.random.Generator) -> str:
    """JSON with one value, anywhere in it, of another type."""
    tree = json.loads(text)
    node: Any = tree
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else int(rng.integers(len(node)))
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.6:
            node = node[key]
            continue
        node[key] = WRONG[rng.integers(len(WRONG))]
        return json.dumps(tree)


def _change(data: bytes, rng: np.random.Generator) -> bytes:
    """Damaged bytes or, of JSON, as often one wrong value."""
    if data.lstrip().startswith(b"{") and rng.random() < 0.6:
        *before, last = data.decode().strip().splitlines() if data.startswith(b'{"step"') else [data.decode()]
        return "\n".join([*before, _change_json(last, rng)]).encode() + b"\n"
    return damage(data, rng)


@cache
def _whole_run(folder: Path) -> Path:
    return test_runs.leave(folder / "whole").path


def damaged_run(folder: Path, rng: np.random.Generator) -> str:
    """One case: list, show, compare and report of a run folder with a damaged file."""
    whole, case = _whole_run(folder), folder / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(whole, case)
    files = sorted(file for file in case.iterdir() if file.is_file())
    file = files[rng.integers(len(files))]
    file.write_bytes(_change(file.read_bytes(), rng))
    codes = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in (["list", folder], ["list", folder, "--json"], ["show", case], ["compare", case, whole]):
            codes.append(main([str(word) for word in command]))
        run_page.write_report(RunFolder(case))
        run_page.state(RunFolder(case))
    assert codes[:2] == [0, 0], "one damaged run ends the list of all"
    return "refused in part" if any(codes) else "read"


def damaged_record(folder: Path, rng: np.random.Generator) -> str:
    """One case: the record in a picture, as replay reads it."""
    settings = (folder / "whole" / "config.yaml").read_text() if (folder / "whole").exists() else "size: 24\nsteps: [3]\n"
    facts = {"format": FORMAT, "versions": {"jax": "0.10.1"}, "device": {"kind": "cpu"}, "seed": 0, "steps": 3}
    facts |= {"inputs": {"content": "0" * 64, "style": "1" * 64}, "params": "2" * 64}
    text = {CONFIG_TEXT: settings, PROVENANCE_TEXT: json.dumps(facts)}
    key = CONFIG_TEXT if rng.random() < 0.5 else PROVENANCE_TEXT
    text[key] = _change(text[key].encode(), rng).decode("utf-8", "replace")
    write_image(folder / "record.png", np.full((1, 16, 16, 3), 0.5, np.float32), text=text)
    found, read = _record(folder / "record.png")
    from_yaml(found, "the record")
    assert isinstance(read["steps"], int)
    return "read"


@cache
def _whole_checkpoints(folder: Path) -> tuple[Path, dict[int, Any]]:
    """A folder of two checkpoints, and what is read of each by its step."""
    read = {}
    for step in (5, 9):
        Checkpoints(folder / "checkpoints", 0.0).write(test_checkpoint.position(step), step)
        read[step] = _latest(folder / "checkpoints")
    return folder / "checkpoints", read


def _latest(folder: Path) -> Any:
    return latest(folder, test_checkpoint.shapes(), 100, "")


def damaged_checkpoint(folder: Path, rng: np.random.Generator) -> str:
    """One case: the newest intact checkpoint of two, one of which is damaged."""
    case = folder / "case checkpoints"
    shutil.rmtree(case, ignore_errors=True)
    whole, read = _whole_checkpoints(folder)
    shutil.copytree(whole, case)
    files = sorted(file for file in case.rglob("*") if file.is_file())
    file = files[rng.integers(len(files))]
    file.write_bytes(_change(file.read_bytes(), rng))
    found = _latest(case)
    if found is None:
        return "none"
    (position, length), (intact, intact_length) = found, read[found[0].step]
    assert (position._replace(state=None), length) == (intact._replace(state=None), intact_length)
    jax.tree.map(np.testing.assert_array_equal, position.state, intact.state)
    return f"step {position.step}"


@cache
def _whole_program(folder: Path) -> tuple[Path, bytes]:
    jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
    jax.config.update("jax_enable_compilation_cache", True)
    test_export_cache.lower([])
    (path,) = (file for file in (folder / "cache" / "traced").iterdir() if file.is_file())
    return path, path.read_bytes()


def damaged_program(folder: Path, rng: np.random.Generator) -> str:
    """One case: a cached program, which is made anew if it is damaged."""
    path, data = _whole_program(folder)
    path.write_bytes(damage(data, rng))
    times: list[int] = []
    np.testing.assert_array_equal(jax.tree.leaves(test_export_cache.lower(times))[0], [0, 2, 4])
    return "traced again" if times else "used"
