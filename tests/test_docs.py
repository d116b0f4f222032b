"""The commands of the README and of docs/ are ones that the program takes, and the site has every page.

`.ci/docs` builds the site and runs its notebooks.
"""

import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from nst_jax.command.arguments import COMMANDS, as_settings
from nst_jax.config.command_line import parse_command_line
from nst_jax.config.compose import as_config, load, register
from nst_jax.config.schema import Config
from nst_jax.images.files import write_image
from nst_jax.invert.config import InvertConfig
from nst_jax.video.config import VideoConfig

ROOT = Path(__file__).parents[1]
PAGES = sorted(str(file.relative_to(ROOT)) for form in ("README*.md", "docs/*.md") for file in ROOT.glob(form))
FENCE = re.compile(r"^```(bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


# Commands with a config of their own.
OTHERS = {"invert": InvertConfig, "video": VideoConfig}


def commands(page: str) -> list[str]:
    """The lines of a page's blocks that call the program, as calls of `nst-jax`."""
    text = "\n".join(found[2] for found in FENCE.finditer((ROOT / page).read_text("utf-8")))
    lines = [re.sub(r"\s+#.*", "", line).replace("python -m nst_jax.", "nst-jax ") for line in text.splitlines()]
    return [line for line in lines if line.startswith("nst-jax ")]


def check(line: str) -> None:
    """Raises unless the command line is one that can be run, so far as this is known without running it."""
    words = shlex.split(line)[1:]
    name, rest = (words[0], words[1:]) if words[0] in COMMANDS else ("", as_settings(words))
    if name not in ("", "run", "sweep", *OTHERS):
        return  # their own tests
    schema = OTHERS.get(name, Config)
    line_of_run = parse_command_line([*COMMANDS[name].arguments, *rest] if name else rest, schema)
    hydra = line_of_run.hydra
    if line_of_run.resume or {"--help", "--multirun", "--config-dir"} & {*hydra}:
        return  # lists of values and own folders are composed by the tests of sweeps
    settings = [word for word in hydra if "=" in word]
    as_config(load(settings, name if name in OTHERS else "config"), schema)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_can_be_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", ""))  # which --device sets, for the process
    for name, schema in OTHERS.items():
        register(f"{name}_schema", schema)
    for name in ("me.jpg", "painting.jpg", "photos/one.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        write_image(name, np.zeros((1, 16, 16, 3), np.float32))
    for line in commands(page):
        try:
            check(line)
        except Exception as error:
            raise AssertionError(f"{page}: {line}") from error


def test_the_pages_have_commands_and_a_wrong_one_is_found():
    assert len([line for page in PAGES for line in commands(page)]) > 20
    for line in ("nst-jax run sise=64", "nst-jax tubingen starry --sise 64", "nst-jax run experiment=nothing"):
        with pytest.raises(Exception, match=r"sise|nothing"):
            check(line)


def test_the_spanish_readme_has_the_links_commands_and_extras_of_the_english_one():
    english, spanish = ((ROOT / page).read_text("utf-8") for page in ("README.md", "README.es.md"))
    for pattern in (r"\]\(([^)]+)\)", r"\.\[\w+\]", r"`(\w+)`"):
        assert {*re.findall(pattern, english)} - {*re.findall(pattern, spanish)} <= {"README.es.md"}, pattern
    assert commands("README.md") == commands("README.es.md")


def test_every_page_and_notebook_is_in_the_site():
    docs = ROOT / "docs"
    for index, files in (("index.md", docs.glob("*.md")), ("notebooks/index.md", docs.glob("notebooks/*.ipynb"))):
        trees = re.findall(r"```\{toctree\}\n(.*?)```", (docs / index).read_text("utf-8"), re.DOTALL)
        listed = {line for tree in trees for line in tree.split() if not line.startswith(":")}
        assert {file.stem for file in files} - {"index"} <= listed


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_shows_or_links_to_are_there(page: str):
    folder, text = (ROOT / page).parent, (ROOT / page).read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (folder / link).exists()] == []


def test_every_lab_book_is_in_the_index_of_experiments():
    text = (ROOT / "docs/experiments.md").read_text("utf-8")
    assert all(f"(../experiments/{file.parent.name}/README.md)" in text for file in ROOT.glob("experiments/*/README.md"))


@pytest.mark.parametrize("file", sorted((ROOT / "docs/notebooks").glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_is_kept_without_its_results(file: Path):
    cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    for cell in cells:
        compile("".join(cell["source"]), file.name, "exec")
