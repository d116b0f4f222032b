"""The pages: templates, their style and their script, filled in by Jinja; the only module that imports it."""

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
    """The page that `template` makes of `values`: one text, with style, script and the chart's program inside."""
    inside = {"style": _text("style.css"), "script": _text("page.js"), "bokeh": bokeh_script() if chart else ""}
    return _templates().get_template(template).render(chart=chart, version=metadata.version("nst_jax"), **inside, **values)


def mark_keys(yaml: str) -> str:
    """YAML as HTML whose keys stand out.

    >>> str(mark_keys("size: 3 < 4"))
    '<b>size:</b> 3 &lt; 4'
    """
    from markupsafe import Markup, escape

    return Markup(_YAML_KEY.sub(r"\1<b>\2</b>", str(escape(yaml))))  # the pattern meets no markup: it was escaped


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    templates = Environment(loader=FileSystemLoader(_FOLDER), **options)
    templates.policies["json.dumps_kwargs"] = {"sort_keys": False}  # a chart refers to what was said before
    return templates


@cache
def _text(name: str) -> Any:
    from markupsafe import Markup

    return Markup((_FOLDER / name).read_text("utf-8"))
