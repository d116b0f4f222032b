"""The HTML pages: templates with their style and script, rendered by Jinja."""

import re
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_jax.report.charts import bokeh_script

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
_YAML_KEY = re.compile(r"^(\s*(?:- )?)([\w.]+:)", re.MULTILINE)


def fill(template: str, *, chart: dict[str, Any] | None, **values: Any) -> str:
    """Renders `template` with `values` to a self-contained page; names that are not UTF-8 are escaped."""
    inside = {"style": _text("style.css"), "script": _text("page.js"), "bokeh": bokeh_script() if chart else ""}
    page = _templates().get_template(template).render(chart=chart, version=metadata.version("nst_jax"), **inside, **values)
    return page.encode("utf-8", "backslashreplace").decode()


def mark_keys(yaml: str) -> str:
    """YAML as HTML with bold keys.

    >>> str(mark_keys("size: 3 < 4"))
    '<b>size:</b> 3 &lt; 4'
    """
    from markupsafe import Markup, escape

    return Markup(_YAML_KEY.sub(r"\1<b>\2</b>", str(escape(yaml))))  # safe: already escaped


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    templates = Environment(loader=FileSystemLoader(_FOLDER), **options)
    templates.policies["json.dumps_kwargs"] = {"sort_keys": False}  # a chart refers to earlier entries
    return templates


@cache
def _text(name: str) -> Any:
    from markupsafe import Markup

    return Markup((_FOLDER / name).read_text("utf-8"))
