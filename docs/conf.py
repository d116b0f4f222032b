"""Sphinx: `sphinx-build -W docs OUT`, without a connection. Lab books and CONTRIBUTING.md become pages of the site."""

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # XLA comments on each program that a notebook loads from the cache

project = "nst_jax"
author = "The nst_jax authors"
copyright = author
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # pages of the repository that begin below the first level
nb_execution_mode = os.environ.get("NB_EXECUTION_MODE", "cache")  # off: quicker
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
napoleon_use_ivar = True
default_role = "code"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
exclude_patterns = ["_build", "make_pictures.py"]
html_theme = "furo"
html_title = f"nst_jax {version}"
html_copy_source = False
html_math_renderer = "mathml"

# Pages written from files elsewhere in the repository: name of the page -> its file.
GENERATED = {f"experiments/{file.parent.name}": file for file in sorted(ROOT.glob("experiments/*/README.md"))}
GENERATED["contributing"] = ROOT / "CONTRIBUTING.md"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")


def localize(text: str, file: Path, page: str) -> str:
    """The text of a file with links to pages of the site; links to other files of the repository become their text."""
    pages = {path: name for name, path in GENERATED.items()} | {ROOT / "README.md": "index"}

    def link(found: re.Match[str]) -> str:
        image, label, target, anchor = found[1], found[2], (file.parent / found[3]).resolve(), found[4] or ""
        folder = (DOCS / page).parent
        if image:
            return f"![{label}]({os.path.relpath(target, folder)})"
        if target in pages:
            return f"[{label}]({os.path.relpath(DOCS / pages[target], folder)}.md{anchor})"
        if target.is_relative_to(DOCS) and target.suffix in (".md", ".ipynb") and target.is_file():
            return f"[{label}]({os.path.relpath(target, folder)}{anchor})"
        return label

    return _LINK.sub(link, text)


def write_generated() -> None:
    """Writes the generated pages, where they have changed."""
    for page, file in GENERATED.items():
        target = DOCS / f"{page}.md"
        text = localize(file.read_text("utf-8"), file, page)
        target.parent.mkdir(exist_ok=True)
        if not target.exists() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")


def read_source(app: Any, page: str, source: list[str]) -> None:
    """Localizes the links of the other pages."""
    file = next((file for suffix in (".md", ".ipynb") if (file := DOCS / f"{page}{suffix}").is_file()), None)
    if page not in GENERATED and file:
        source[0] = localize(source[0], file, page)


def visit_inline(self: Any, node: nodes.math) -> None:
    """A formula in a line, as MathML, which browsers draw without a script."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """A formula of its own."""
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    write_generated()
    app.connect("source-read", read_source)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
