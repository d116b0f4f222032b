"""The controls of a look: two pictures, the plain choices, regions, and everything else under "More"."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.files import fit_long_side, read_image, resize
from nst_jax.images.masks import Mask, as_mask
from nst_jax.studio import look as looks
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.look import Look, Region
from nst_jax.studio.regions import BRUSHES, as_picture, grown, painted_layer, painted_masks
from nst_jax.studio.shared import QUIET, Studio, gr, said
from nst_jax.studio.texts import label, say

_CANVAS = 640  # pixels of the longer side, to paint regions on
_FEATHER = 8  # pixels of that
_PAINT, _LEAVE = "paint", "leave"  # what becomes of a region, if not a painting of its own


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
    def all(self) -> list[Any]:
        """All of them, in the order of `region_values`."""
        return [self.use, self.editor, self.feather, self.invert, *self.fates]


def draw_controls(studio: Studio) -> Controls:
    """Draws the controls and connects them with each other."""
    picture = {"type": "filepath", "image_mode": None, "sources": ["upload", "clipboard"], "height": 190}
    picture |= {"placeholder": label("drop"), "buttons": []}
    with gr.Row():
        photo = _as_uploaded(gr.Image(label=label("photo"), elem_id="photo", **picture))
        painting = _as_uploaded(gr.Image(label=label("painting"), elem_id="painting", **picture))
    shelf = gr.Gallery(
        [(str(studio.folder.thumbnail(one.file)), one.title) for one in studio.paintings],
        label=label("shelf"), columns=4, height=230, allow_preview=False, object_fit="cover", buttons=[], interactive=False,
        elem_id="shelf",
    )  # fmt: skip
    plain = _plain_controls()
    regions = _region_controls(studio, photo)
    with gr.Accordion(label("more"), open=False, elem_id="more"):
        gr.Markdown(label("more_info"))
        with gr.Row(elem_classes="fields"):
            more = {
                key: gr.Textbox(label=key, info=label(f"about_{key}"), placeholder=default, min_width=220)
                for key, (default, _) in looks.settings().items()
            }

    def choose(event: gr.SelectData) -> str:
        return str(studio.folder.keep(studio.paintings[int(event.index)].file))

    def keep(file: str) -> str | None:
        try:
            return str(studio.folder.keep(Path(file)))
        except InputError as error:  # said, and the frame is empty again
            gr.Warning(str(error), title="")
            return None

    shelf.select(said(choose), None, painting, **QUIET)
    for drop in (photo, painting):
        drop.upload(keep, drop, drop, **QUIET)
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
    return {"strength": strength, "stroke": stroke, "size": size, "colors": colors, "preset": preset, "seed": seed}


def _region_controls(studio: Studio, photo: gr.Image) -> RegionControls:
    fates = [(label("region_paint"), _PAINT), (label("region_leave"), _LEAVE)]
    fates += [(one.title, str(one.file)) for one in studio.paintings]
    with gr.Accordion(label("regions"), open=False, elem_id="regions"):
        gr.Markdown(label("regions_info"))
        with gr.Row():
            load = gr.Button(label("regions_load"), size="sm", elem_id="regions_load")
            grow = gr.Button(label("regions_grow"), size="sm", elem_id="regions_grow")
        editor = gr.ImageEditor(
            type="numpy", format="png", sources=(), transforms=(), layers=False, buttons=[], show_label=False, elem_id="editor",
            brush=gr.Brush(colors=list(BRUSHES), default_color=BRUSHES[0], color_mode="fixed", default_size=40),
        )  # fmt: skip
        use = gr.Checkbox(False, label=label("regions_use"), elem_id="regions_use")
        with gr.Row():
            names = ("region_1", "region_2", "region_3", "region_rest")
            chosen = tuple(
                gr.Dropdown(fates, value=_LEAVE if name == "region_rest" else _PAINT, label=label(name), min_width=180)
                for name in names
            )
        with gr.Row():
            feather = gr.Slider(0, 60, _FEATHER, step=1, label=label("feather"), buttons=[])
            invert = gr.Checkbox(False, label=label("invert"))

    def canvas(file: str | None, request: gr.Request) -> tuple[Any, bool]:
        if file is None:
            raise InputError(say(request, "need_photo"))
        return _canvas(studio.folder, Path(file)), True

    def regions(drawn: dict[str, Any] | None, file: str | None, request: gr.Request) -> tuple[Any, bool]:
        if file is None or drawn is None or drawn["background"] is None:
            raise InputError(say(request, "need_canvas"))
        layer = grown(drawn["background"][..., :3], drawn["layers"])
        return {**_canvas(studio.folder, Path(file)), "layers": [layer]}, True

    load.click(said(canvas), photo, [editor, use], **QUIET)
    grow.click(said(regions), [editor, photo], [editor, use], **{**QUIET, "show_progress": "minimal"})
    return RegionControls(use, editor, feather, invert, chosen)


def _as_uploaded(image: gr.Image) -> gr.Image:
    """A component whose value is the uploaded file, also one that Pillow alone does not open, such as a camera's RAW file."""
    image.preprocess = lambda payload: payload and payload.path
    return image


def _canvas(folder: StudioFolder, photo: Path, masks: Mapping[int, Mask] | None = None) -> dict[str, Any]:
    """The photograph in the editor, no larger than a screen, with these masks painted on it."""
    pixels = read_image(photo).pixels
    height, width = pixels.shape[1:3]
    size = fit_long_side(height, width, _CANVAS)
    small = folder.keep_pixels(resize(pixels, size), "canvas.png")
    layers = [painted_layer({number: resize(mask, size) for number, mask in masks.items()})] if masks else []
    return {"background": str(small), "layers": layers, "composite": None}


def _compile_ahead(studio: Studio, controls: Controls) -> None:
    """Compiles the programs of what is chosen while the user still chooses."""

    def wish(values: dict[Any, Any]) -> None:
        with suppress(InputError):  # it is said when the run is started
            if values[controls.photo] and values[controls.painting]:
                look = chosen_look(studio, controls, {**values, controls.regions.use: False})
                photo = str(studio.folder.keep(Path(values[controls.photo])))
                studio.worker.wish(looks.compose(looks.words(photo, look)))

    watched = [controls.photo, controls.painting, *(controls.plain[name] for name in ("stroke", "size", "preset"))]
    gr.on([one.change for one in watched], wish, {controls.photo} | controls.look, None, trigger_mode="always_last", **QUIET)


def chosen_look(studio: Studio, controls: Controls, values: Mapping[Any, Any]) -> Look:
    """The look of a page's controls.

    Raises:
        InputError: the painting cannot be read, or regions are wanted and none is painted.
    """
    painting = looks.as_word(studio.folder.keep(Path(values[controls.painting])))
    plain = {name: values[control] for name, control in controls.plain.items()}
    more = {key: text.strip() for key, field in controls.more.items() if (text := values[field]) and text.strip()}
    regions = _regions(studio.folder, controls.regions, values)
    return Look(painting, **plain, more=more, regions=regions, feather=int(values[controls.regions.feather]) if regions else 0)


def _regions(folder: StudioFolder, controls: RegionControls, values: Mapping[Any, Any]) -> tuple[Region, ...]:
    if not values[controls.use]:
        return ()
    layers = (values[controls.editor] or {}).get("layers") or []
    fates = [values[fate] for fate in controls.fates]
    return as_regions(folder, layers, int(values[controls.feather]), bool(values[controls.invert]), fates)


def as_regions(
    folder: StudioFolder, layers: Sequence[Any], feather: int, inverted: bool, fates: Sequence[str]
) -> tuple[Region, ...]:
    """The regions that were painted, their masks kept; see `painted_masks`, and `RegionControls` for what becomes of them."""
    masks = painted_masks(layers, feather, inverted)
    files = {number: str(folder.keep_pixels(as_picture(mask), _mask_name(number))) for number, mask in masks.items()}
    regions = [*((file, fates[number]) for number, file in files.items()), ("rest", fates[-1])]
    return tuple(_region(folder, mask, fate) for mask, fate in regions)


def region_values(studio: Studio, photo: Path | None, look: Look) -> list[Any]:
    """The values of `RegionControls.all` for a look, with its regions painted on the photograph."""
    if not look.regions or photo is None:
        return [False, None, _FEATHER, False, *[_PAINT] * len(BRUSHES), _LEAVE]
    *painted, rest = look.regions
    brushes = {_brush(region.mask): region for region in painted if Path(region.mask).exists()}
    found = {number: as_mask(read_image(region.mask).pixels) for number, region in brushes.items()}
    fates = [*(_fate(studio, brushes.get(number)) for number in range(len(BRUSHES))), _fate(studio, rest)]
    return [True, _canvas(studio.folder, photo, found), look.feather, False, *fates]


def _fate(studio: Studio, region: Region | None) -> str:
    """What the page says of a region; a painting that has left the shelf is the one of the look."""
    if region is None or (region.painted and not region.painting):
        return _PAINT
    files = {str(studio.folder.keep(one.file)): str(one.file) for one in studio.paintings} if region.painted else {}
    return files.get(region.painting, _PAINT) if region.painted else _LEAVE


def _mask_name(number: int) -> str:
    return f"region-{number + 1}.png"


def _brush(mask: str) -> int:
    """The number of the brush that painted a mask, by the name of its file."""
    return next(number for number in range(len(BRUSHES)) if Path(mask).name == _mask_name(number))


def _region(folder: StudioFolder, mask: str, fate: str) -> Region:
    own = "" if fate in (_PAINT, _LEAVE) else str(folder.keep(Path(fate)))
    return Region(mask, own, fate != _LEAVE)
