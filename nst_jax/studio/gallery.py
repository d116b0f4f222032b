"""The tab of the history: every picture made here, two of them side by side, and what to do with one."""

import html
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nst_jax.errors import InputError
from nst_jax.images.named import NAMED, local_file
from nst_jax.images.video import FILMS
from nst_jax.studio import look as looks
from nst_jax.studio.controls import Controls, region_values
from nst_jax.studio.history import Entry, command_line, entries, photo_of
from nst_jax.studio.shared import QUIET, Studio, gr, said
from nst_jax.studio.texts import label, say
from nst_jax.studio.view import TIFF, Session, View, as_download, shown


@dataclass(frozen=True)
class Choice:
    """What is chosen in the gallery: the entries that it shows, the run, and the one chosen before."""

    shown: tuple[Entry, ...] = ()
    run: str = ""
    before: str = ""


def gallery_tab(studio: Studio, controls: Controls, view: View, tab: gr.Tab, tabs: gr.Tabs) -> None:
    """Draws the tab and connects it."""
    gr.Markdown(label("history_info"))
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            search = gr.Textbox(label=label("search"), info=label("search_info"), elem_id="search")
            grid = gr.Gallery(
                label=label("gallery"), columns=3, fit_columns=False, height=560, allow_preview=False, object_fit="cover",
                interactive=False, buttons=[], elem_id="gallery",
            )  # fmt: skip
        with gr.Column(scale=3, min_width=320):
            compare = gr.ImageSlider(
                label=label("history_compare"), interactive=False, type="filepath", max_height=520, buttons=["fullscreen"],
                elem_id="history_compare",
            )  # fmt: skip
            with gr.Row():
                use = gr.Button(label("use_settings"), elem_id="use_settings", min_width=110)
                begin = gr.Button(label("use_start"), elem_id="use_start", min_width=110)
                go_on = gr.Button(label("go_on"), elem_id="history_go_on", min_width=110)
                download = gr.DownloadButton(label("download"), interactive=False, elem_id="history_download", min_width=110)
                tiff = gr.DownloadButton(label("tiff"), interactive=False, elem_id="history_tiff", min_width=110)
            about = gr.HTML(elem_id="history_about")
            command = gr.Textbox(
                label=label("command"), interactive=False, lines=2, buttons=["copy"], elem_id="history_command"
            )
    choice = gr.State(Choice())

    def find(now: Choice, words: str) -> tuple[Choice, list[tuple[str, str]]]:
        found = entries(studio.folder, words or "")
        return replace(now, shown=tuple(found)), [(str(studio.folder.thumbnail(one.picture)), one.caption) for one in found]

    def choose(now: Choice, event: gr.SelectData, request: gr.Request) -> list[Any]:
        entry = now.shown[int(event.index)]
        now = replace(now, run=entry.name, before=now.run if now.run != entry.name else now.before)
        run = studio.folder.run(entry.name)
        return [now, _pair(studio, now), as_download(entry.picture), as_download(run / TIFF), _about(studio, entry, request),
                command_line(run)]  # fmt: skip

    def settings(now: Choice, request: gr.Request) -> list[Any]:
        return [gr.update(selected="paint"), *_settings(studio, controls, _chosen(now, request), request)]

    def start(now: Choice, request: gr.Request) -> list[Any]:
        name = _chosen(now, request)
        return [gr.update(selected="paint"), True, *shown(studio, Session(name), request)]

    def resume(now: Choice, request: gr.Request) -> list[Any]:
        name = _chosen(now, request)
        studio.worker.go_on(name)
        return [gr.update(selected="paint"), *shown(studio, Session(name), request)]

    gr.on([tab.select, search.submit], find, [choice, search], [choice, grid], **QUIET)
    grid.select(choose, choice, [choice, compare, download, tiff, about, command], **QUIET)
    use.click(said(settings), choice, [tabs, *_settable(controls)], **QUIET)
    begin.click(said(start), choice, [tabs, view.from_here, *view.all], **QUIET)
    go_on.click(said(resume), choice, [tabs, *view.all], **QUIET)


def _chosen(now: Choice, request: gr.Request) -> str:
    if not now.run:
        raise InputError(say(request, "need_run"))
    return now.run


def _pair(studio: Studio, now: Choice) -> tuple[str, str]:
    """The picture chosen before, or else the photograph, and the one chosen now."""
    run = studio.folder.run(now.run)
    left = studio.folder.run(now.before) / "result.png" if now.before else photo_of(run) or run / "result.png"
    return str(studio.folder.as_shown(left)), str(studio.folder.as_shown(run / "result.png"))


def _about(studio: Studio, entry: Entry, request: gr.Request) -> str:
    """What a picture is, and a link to its report."""
    report = studio.folder.run(entry.name) / "report.html"
    caption, name = html.escape(entry.caption), say(request, "report")
    if not report.exists():
        return f"<p>{caption}</p>"
    return f'<p>{caption} · <a href="/gradio_api/file={quote(str(report))}" target="_blank" rel="noopener">{name}</a></p>'


def _settable(controls: Controls) -> list[Any]:
    return [controls.photo, controls.painting, *controls.plain.values(), *controls.more.values(), *controls.regions.all]


def _settings(studio: Studio, controls: Controls, name: str, request: gr.Request) -> list[Any]:
    """The values of `_settable` that a run was made with."""
    found = looks.read(studio.folder.run(name))
    if found is None:
        raise InputError(say(request, "no_look"))
    seen = photo_of(studio.folder.run(name)) if Path(found[0]).suffix.lower() in FILMS else found[0]
    photo, look = _file(studio, str(seen)), found[1]
    plain = [getattr(look, key) for key in controls.plain]
    more = [look.more.get(key, "") for key in controls.more]
    regions = region_values(studio, Path(photo) if photo else None, look)
    return [photo, _file(studio, look.painting), *plain, *more, *regions]


def _file(studio: Studio, word: str) -> str | None:
    """The file of a picture that a run was given; None if it is gone."""
    path = local_file(word) if word in NAMED else Path(word)
    return str(studio.folder.keep(path)) if path and path.exists() else None
