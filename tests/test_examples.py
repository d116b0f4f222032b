"""The Python code of README.md and docs/ runs as it is printed, on small pictures with a shallow loss."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nst_jax.config import compose
from nst_jax.images.files import write_image
from nst_jax.runner import from_python

ROOT = Path(__file__).parents[1]
PAGES = [str(file.relative_to(ROOT)) for form in ("*.md", "docs/*.md", "experiments/*/*.md") for file in ROOT.glob(form)]
TINY = {"size": 24, "scales": [24], "steps": 2, "loss": {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}}


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "README.es.md", "docs/python.md"])
def test_the_examples_of_a_page_run_one_after_the_other(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def tiny(options: Mapping[str, Any]) -> Any:
        loss = options.get("loss", {})
        return compose.make_config({**options, **TINY, "loss": {**(loss if isinstance(loss, Mapping) else {}), **TINY["loss"]}})

    monkeypatch.setattr(from_python, "make_config", tiny)
    monkeypatch.chdir(tmp_path)
    for name, seed, height in (("me.jpg", 0, 18), ("painting.jpg", 1, 24)):
        write_image(name, np.random.default_rng(seed).random((1, height, 24, 3), np.float32))
    found = blocks(page)
    assert found
    names: dict[str, Any] = {"__name__": "example"}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # as users have them
        for number, code in enumerate(found, 1):
            exec(compile(code.replace("range(100)", "range(2)"), f"{page}, block {number}", "exec"), names)
    assert Path("painted.png").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_of_a_page_lead_somewhere(page: str):
    text = (ROOT / page).read_text("utf-8")
    links = [(ROOT / page).parent / target for target in re.findall(r"\]\((?!https?:)([^)#]+)", text)]
    paths = [ROOT / path for path in re.findall(r"\b(?:nst_jax|tests|experiments|configs)/[\w/-]+\.\w+", text)]
    modules = [ROOT / name.replace(".", "/") for name in re.findall(r"python -m ((?:nst_jax|experiments)\b[\w.]*)", text)]
    assert [target for target in links + paths if not target.exists()] == []
    assert [module for module in modules if not (module.is_dir() or module.with_suffix(".py").is_file())] == []


@pytest.mark.parametrize("readme", ["README.md", "README.es.md"])
def test_the_set_up_commands_are_there(readme: str):
    text = (ROOT / readme).read_text("utf-8")
    assert "pip install -e . && python -m nst_jax.run style=starry content=tubingen" in text
    assert 'pip install -e ".[dev]" && pytest' in text
