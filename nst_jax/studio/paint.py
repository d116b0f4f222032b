"""The tab to paint in: a photograph, a painting and a few controls beside the picture that grows."""

import html
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.runs.progress import format_number
from nst_jax.studio import look as looks
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.history import command_line, photo_of
from nst_jax.studio.jobs import Job, Worker
from nst_jax.studio.look import Look, Region
from nst_jax.studio.regions import BRUSHES, as_picture, painted_masks
from nst_jax.studio.shelf import Painting
from nst_jax.studio.texts import duration, label, say

_CANVAS = 640  # pixels of the longer side, to paint regions on
_PAINT, _LEAVE = "paint", "leave"
# Beyond these are the settings of "More".
_PLAIN = ("strength", "stroke", "size", "colors", "preset", "seed")


@dataclass(frozen=True)
class Session:
    """What one page shows.

    Attributes:
        run: the name of the run in view; "" before the first.
        picture: the file in view, so that it is sent once.
    """

    run: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Studio:
    """What all pages share."""

    folder: StudioFolder
    worker: Worker
    paintings: list[Painting]


@dataclass(frozen=True)
class Controls:
    """The controls of a look; `values` of an event are by component."""

    photo: gr.Image
    painting: gr.Image
    plain: dict[str, Any]
    more: dict[str, gr.Textbox]
    regions: "RegionControls"

    @property
    def look(self) -> set[Any]:
        """The controls that make the look, without the photograph."""
        return {self.painting, *self.plain.values(), *self.more.values(), *self.regions.all}


@dataclass(frozen=True)
class RegionControls:
    """The controls of regions: the editor, whether it counts, the edges, and what becomes of each color and of the rest."""

    use: gr.Checkbox
    editor: gr.ImageEditor
    feather: gr.Slider
    invert: gr.Checkbox
    fates: tuple[gr.Dropdown, ...]

    @property
    def all(self) -> set[Any]:
        """All of them."""
        return {self.use, self.editor, self.feather, self.invert, *self.fates}


@dataclass(frozen=True)
class View:
    """The components that show a run."""

    session: gr.State
    picture: gr.Image
    compare: gr.ImageSlider
    status: gr.HTML
    stop: gr.Button
    go_on: gr.Button
    download: gr.DownloadButton
    command: gr.Textbox
    timer: gr.Timer
    memory: gr.BrowserState
    start: gr.Button
    from_here: gr.Checkbox

    @property
    def all(self) -> list[Any]:
        """In the order of `shown`."""
        return [self.session, self.picture, self.compare, self.status, self.stop, self.go_on, self.download, self.command,
                self.timer, self.memory]  # fmt: skip


def said(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose bad input is a sentence in the page."""

    @wraps(handler)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        except InputError as error:
            raise gr.Error(str(error), title="", print_exception=False) from error

    return call


def paint_tab(studio: Studio) -> tuple[Controls, View]:
    """Draws the tab and connects it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            controls = _controls(studio)
        with gr.Column(scale=3, min_width=320):
            view = _view()
    run = {"show_progress": "hidden", "api_visibility": "private"}

    def start(values: dict[Any, Any], request: gr.Request) -> list[Any]:
        return _start(studio, controls, view, values, request)

    view.start.click(said(start), {controls.photo, view.session, view.from_here} | controls.look, view.all, **run)
    _follow(studio, view, run)
    return controls, view


def _controls(studio: Studio) -> Controls:
    picture = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"], "height": 190}
    picture |= {"placeholder": label("drop"), "buttons": []}
    with gr.Row():
        photo = gr.Image(label=label("photo"), elem_id="photo", **picture)
        painting = gr.Image(label=label("painting"), elem_id="painting", **picture)
    shelf = gr.Gallery(
        [(str(studio.folder.thumbnail(one.file)), one.title) for one in studio.paintings],
        label=label("shelf"), columns=4, height=150, allow_preview=False, object_fit="cover", buttons=[], interactive=False,
        elem_id="shelf",
    )  # fmt: skip
    plain = _plain_controls()
    regions = _region_controls(studio, photo)
    with gr.Accordion(label("more"), open=False, elem_id="more"):
        gr.Markdown(label("more_info"))
        with gr.Row(elem_classes="fields"):
            more = {
                key: gr.Textbox(label=key, info=about, placeholder=default, min_width=220)
                for key, (default, about) in looks.settings().items()
            }

    def choose(event: gr.SelectData) -> str:
        return str(studio.folder.keep(studio.paintings[int(event.index)].file))

    def keep(file: str) -> str:
        return str(studio.folder.keep(Path(file)))

    shelf.select(said(choose), None, painting, show_progress="hidden", api_visibility="private")
    for drop in (photo, painting):
        drop.upload(said(keep), drop, drop, show_progress="hidden", api_visibility="private")
    controls = Controls(photo, painting, plain, more, regions)
    _compile_ahead(studio, controls)
    return controls


def _plain_controls() -> dict[str, Any]:
    def choices(prefix: str, values: Sequence[Any]) -> list[tuple[Any, Any]]:
        return [(label(f"{prefix}_{value}"), value) for value in values]

    preset = gr.Radio(choices("preset", looks.PRESETS), value=Look.preset, label=label("preset"), elem_id="preset")
    strength = gr.Slider(
        0, 100, Look.strength, step=1, label=label("strength"), info=label("strength_info"), elem_id="strength", buttons=[],
    )  # fmt: skip
    stroke = gr.Radio(choices("stroke", looks.STROKES), value=Look.stroke, label=label("stroke"), elem_id="stroke")
    size = gr.Radio(choices("size", looks.SIZES), value=Look.size, label=label("size"), elem_id="size")
    colors = gr.Radio(choices("colors", looks.COLORS), value=Look.colors, label=label("colors"), elem_id="colors")
    seed = gr.Number(Look.seed, precision=0, minimum=0, label=label("seed"), info=label("seed_info"), elem_id="seed")
    return dict(zip(_PLAIN, (strength, stroke, size, colors, preset, seed), strict=True))


def _region_controls(studio: Studio, photo: gr.Image) -> RegionControls:
    fates = [(label("region_paint"), _PAINT), (label("region_leave"), _LEAVE)]
    fates += [(one.title, str(one.file)) for one in studio.paintings]
    with gr.Accordion(label("regions"), open=False, elem_id="regions"):
        gr.Markdown(label("regions_info"))
        load = gr.Button(label("regions_load"), size="sm")
        editor = gr.ImageEditor(
            type="numpy", sources=(), transforms=(), layers=False, buttons=[], show_label=False, elem_id="editor",
            brush=gr.Brush(colors=list(BRUSHES), default_color=BRUSHES[0], color_mode="fixed", default_size=40),
        )  # fmt: skip
        use = gr.Checkbox(False, label=label("regions_use"), elem_id="regions_use")
        with gr.Row():
            chosen = tuple(
                gr.Dropdown(fates, value=_PAINT, label=label(name), min_width=180)
                for name in ("region_1", "region_2", "region_3", "region_rest")
            )
        with gr.Row():
            feather = gr.Slider(0, 60, 8, step=1, label=label("feather"), buttons=[])
            invert = gr.Checkbox(False, label=label("invert"))

    def canvas(file: str | None, request: gr.Request) -> tuple[Any, bool]:
        if file is None:
            raise InputError(say(request, "need_photo"))
        return _canvas(studio.folder, Path(file)), True

    load.click(said(canvas), photo, [editor, use], show_progress="hidden", api_visibility="private")
    return RegionControls(use, editor, feather, invert, chosen)


def _canvas(folder: StudioFolder, photo: Path) -> dict[str, Any]:
    """The photograph in the editor, no larger than a screen."""
    pixels = read_image(photo).pixels
    height, width = pixels.shape[1:3]
    small = folder.keep_pixels(resize(pixels, fit_long_side(height, width, _CANVAS)), "canvas.png")
    return {"background": str(small), "layers": [], "composite": None}


def _view() -> View:
    session, timer = gr.State(Session()), gr.Timer(1.0, active=False)
    memory = gr.BrowserState("", storage_key="nst_jax_studio", secret="nst_jax_studio")
    picture = gr.Image(
        label=label("result"), interactive=False, type="filepath", height=520, elem_id="picture", buttons=["fullscreen"],
    )  # fmt: skip
    compare = gr.ImageSlider(
        label=label("compare"), interactive=False, type="filepath", visible=False, max_height=520, elem_id="compare",
        buttons=["fullscreen"],
    )  # fmt: skip
    status = gr.HTML(elem_id="status")
    with gr.Row(elem_id="actions"):
        start = gr.Button(label("start"), variant="primary", elem_id="start", min_width=110)
        stop = gr.Button(label("stop"), variant="stop", interactive=False, elem_id="stop", min_width=110)
        go_on = gr.Button(label("go_on"), interactive=False, elem_id="go_on", min_width=110)
        download = gr.DownloadButton(label("download"), interactive=False, elem_id="download", min_width=110)
    from_here = gr.Checkbox(False, label=label("from_here"), elem_id="from_here")
    command = gr.Textbox(label=label("command"), interactive=False, lines=2, buttons=["copy"], elem_id="command", visible=False)
    return View(session, picture, compare, status, stop, go_on, download, command, timer, memory, start, from_here)


def _follow(studio: Studio, view: View, run: Mapping[str, Any]) -> None:
    """Keeps the view up to date, and connects Stop and Continue."""

    def tick(session: Session, request: gr.Request) -> list[Any]:
        return shown(studio, session, request)

    def stop(session: Session, request: gr.Request) -> list[Any]:
        studio.worker.stop(session.run)
        return shown(studio, session, request)

    def go_on(session: Session, request: gr.Request) -> list[Any]:
        studio.worker.go_on(session.run)
        return shown(studio, session, request)

    def load(remembered: str, request: gr.Request) -> list[Any]:
        return shown(studio, Session(remembered or ""), request)

    view.timer.tick(tick, view.session, view.all, **run)
    view.stop.click(stop, view.session, view.all, **run)
    view.go_on.click(said(go_on), view.session, view.all, **run)
    gr.on(None, load, view.memory, view.all, **run)


def _compile_ahead(studio: Studio, controls: Controls) -> None:
    """Compiles the programs of what is chosen while the user still chooses."""

    def wish(values: dict[Any, Any]) -> None:
        with suppress(InputError):  # it is said when the run is started
            if values[controls.photo] and values[controls.painting]:
                look = chosen_look(studio, controls, {**values, controls.regions.use: False})
                photo = str(studio.folder.keep(Path(values[controls.photo])))
                studio.worker.wish(looks.compose(looks.words(photo, look)))

    watched = [controls.photo, controls.painting, *(controls.plain[name] for name in ("stroke", "size", "preset"))]
    gr.on([one.change for one in watched], wish, {controls.photo} | controls.look, None, show_progress="hidden",
          trigger_mode="always_last", api_visibility="private")  # fmt: skip


def chosen_look(studio: Studio, controls: Controls, values: Mapping[Any, Any]) -> Look:
    """The look of a page's controls.

    Raises:
        InputError: the painting cannot be read, or regions are wanted and none is painted.
    """
    painting = looks.as_word(studio.folder.keep(Path(values[controls.painting])))
    plain = {name: values[control] for name, control in controls.plain.items()}
    more = {key: text.strip() for key, field in controls.more.items() if (text := values[field]) and text.strip()}
    return Look(painting, **plain, more=more, regions=_regions(studio.folder, controls.regions, values))


def _regions(folder: StudioFolder, controls: RegionControls, values: Mapping[Any, Any]) -> tuple[Region, ...]:
    if not values[controls.use]:
        return ()
    drawn = values[controls.editor] or {}
    masks = painted_masks(drawn.get("layers") or [], int(values[controls.feather]), bool(values[controls.invert]))
    fates = [values[fate] for fate in controls.fates]
    files = {number: str(folder.keep_pixels(as_picture(mask), f"region-{number + 1}.png")) for number, mask in masks.items()}
    regions = [*((file, fates[number]) for number, file in files.items()), ("rest", fates[-1])]
    return tuple(_region(folder, mask, fate) for mask, fate in regions)


def _region(folder: StudioFolder, mask: str, fate: str) -> Region:
    own = "" if fate in (_PAINT, _LEAVE) else str(folder.keep(Path(fate)))
    return Region(mask, own, fate != _LEAVE)


def _start(studio: Studio, controls: Controls, view: View, values: Mapping[Any, Any], request: gr.Request) -> list[Any]:
    photo, session = values[controls.photo], values[view.session]
    if photo is None:
        raise InputError(say(request, "need_photo"))
    if values[controls.painting] is None:
        raise InputError(say(request, "need_painting"))
    look = chosen_look(studio, controls, values)
    if values[view.from_here] and session.run and (picture := studio.worker.find(session.run).picture):
        look = replace(look, start=str(studio.folder.keep(picture)))
    studio.worker.stop(session.run)  # what this page was making, if it still is
    return shown(studio, Session(submit(studio, photo, look).name), request)


def submit(studio: Studio, photo: str, look: Look, output: str = "", run: Path | None = None) -> Job:
    """Starts the run of a photograph.

    Args:
        studio: of the page.
        photo: its file.
        look: what it becomes.
        output: where the picture is written, too.
        run: its folder; None: a new one.

    Raises:
        InputError: anything the user can fix.
    """
    path = run or studio.folder.new_run()
    word = looks.as_word(studio.folder.keep(Path(photo)))
    job = studio.worker.submit(looks.compose(looks.words(word, look, output)), path)
    looks.write(path, word, look)
    return job


def shown(studio: Studio, session: Session, request: gr.Request | None) -> list[Any]:
    """What the components of a `View` show of the run in view."""
    try:
        job = studio.worker.find(session.run)
    except InputError:  # none yet, or removed since
        return [Session(), None, _hidden(), _line(say(request, "say_empty")), _off(), _off(), _off(), _hidden(),
                gr.update(active=False), ""]  # fmt: skip
    photo = photo_of(job.run.path)
    done = job.state == "finished" and photo is not None
    file = str(job.picture) if job.picture else ""
    new = file != session.picture
    picture = gr.update(value=file or None, visible=not done) if new else gr.update(visible=not done)
    compare = gr.update(value=(str(photo), file), visible=True) if done else _hidden()
    result = str(job.run.result) if not job.is_open and job.run.result.exists() else None
    return [
        replace(session, picture=file),
        picture,
        compare if new or not done else gr.skip(),
        status_line(studio, job, request),
        gr.update(interactive=job.is_open and not job.stop),
        gr.update(interactive=job.state in ("interrupted", "failed")),
        gr.update(interactive=result is not None, value=result),
        gr.update(value=command_line(job.run.path), visible=True) if new or not session.picture else gr.skip(),
        gr.update(active=job.is_open),
        job.name,
    ]  # fmt: skip


def _hidden() -> Any:
    return gr.update(value=None, visible=False)


def _off() -> Any:
    return gr.update(interactive=False)


def status_line(studio: Studio, job: Job, request: gr.Request | None) -> str:
    """How a run stands, in a line with a bar."""
    share = job.step / job.steps if job.steps else None
    if job.state == "waiting" and (before := studio.worker.before(job.name)):
        return _line(say(request, "say_waiting", before=before))
    if job.state == "finished":
        return _line(say(request, "say_finished"), kind="good")
    if job.state == "failed":
        return _line(say(request, "say_failed", error=job.error), kind="bad")
    if job.state == "interrupted":
        return _line(say(request, "say_interrupted", step=job.step), share)
    if job.stop:
        return _line(say(request, "say_stopping"), share)
    if not job.step:
        return _line(say(request, "say_begins"), 0.0)
    parts = [say(request, "say_running", step=job.step, steps=job.steps, size=job.size)]
    if job.seconds_left is not None:
        parts.append(say(request, "say_left", left=duration(job.seconds_left)))
    if job.loss is not None:
        parts.append(say(request, "say_loss", loss=format_number(job.loss)))
    return _line(" · ".join(parts), share)


def _line(text: str, share: float | None = None, kind: str = "") -> str:
    bar = "" if share is None else f'<progress value="{share:.3f}" max="1" aria-hidden="true"></progress>'
    return f'<div class="status {kind}" role="status">{bar}<span>{html.escape(text)}</span></div>'
