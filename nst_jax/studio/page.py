"""The page: its tabs, its look, and what all pages share."""

import base64
from typing import NamedTuple

from nst_jax.studio.api import endpoints
from nst_jax.studio.batch import batch_tab
from nst_jax.studio.film import film_tab
from nst_jax.studio.folder import StudioFolder
from nst_jax.studio.gallery import gallery_tab
from nst_jax.studio.jobs import Worker
from nst_jax.studio.look import PRESET_PICTURES, PRESETS
from nst_jax.studio.paint import paint_tab
from nst_jax.studio.shared import Base, Painting, Studio, gr
from nst_jax.studio.texts import label, translations

_FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]
_CSS = """
.gradio-container { max-width: 1440px !important; }
.dark { color-scheme: dark; }
.min_value, .max_value { color: var(--block-info-text-color) !important; }
button[role=tab].selected { color: var(--primary-600) !important; }
.dark button[role=tab].selected { color: var(--primary-300) !important; }
#about h1 { font-weight: 650; letter-spacing: -0.01em; margin: 0; }
#shelf .grid-wrap { overflow-x: hidden; }
#shelf .grid-wrap, #gallery .grid-wrap { padding-top: 1.5rem; }
#shelf .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; }
#picture img { width: 100%; height: 100%; object-fit: contain; }
.status { display: grid; gap: .4rem; padding: .25rem .1rem; font-variant-numeric: tabular-nums; }
.status .bar { height: .5rem; border-radius: .25rem; overflow: hidden; background: var(--neutral-200); }
.dark .status .bar { background: var(--neutral-700); }
.status .bar i { display: block; height: 100%; background: var(--color-accent); }
.status.bad { color: var(--error-text-color, #b3261e); }
#more .fields { max-height: 26rem; overflow-y: auto; }
#preset .wrap { display: grid; grid-template-columns: repeat(auto-fit, minmax(5.2rem, 1fr)); }
#preset label { display: grid; justify-items: center; align-content: start; gap: .3rem; padding: .4rem; text-align: center; }
#preset label > input { position: absolute; opacity: 0; }
#preset label > span { margin: 0; font-size: var(--text-sm); line-height: 1.25; }
#preset label:has(input:checked) { box-shadow: inset 0 0 0 2px var(--color-accent); }
#preset label:has(input:focus-visible) { outline: 2px solid var(--color-accent); outline-offset: 1px; }
#preset label::before { content: ""; width: 100%; max-width: 128px; aspect-ratio: 1; border-radius: .4rem; }
#preset label::before { background-size: cover; }
"""
# What Gradio says to the eye alone: the names of thumbnails and of the picture, and that an empty frame is one.
_NAMES = """() => new MutationObserver(() => {
  for (const caption of document.querySelectorAll(".thumbnail-item .caption-label")) {
    const name = caption.textContent.trim(), button = caption.closest(".thumbnail-item");
    if (button.ariaLabel !== name) button.ariaLabel = name;
  }
  for (const empty of document.querySelectorAll(".empty[aria-label]:not([role])")) empty.role = "img";
  const frame = document.querySelector("#picture button:has(> * img)"), label = document.querySelector("#picture label");
  if (frame && label && !frame.ariaLabel) frame.ariaLabel = label.textContent.trim();
}).observe(document.body, {childList: true, subtree: true})"""
_THEME = Base(primary_hue="indigo", neutral_hue="slate", font=_FONTS, font_mono=["ui-monospace", "monospace"]).set(
    color_accent="*primary_600",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)


def _preset_css() -> str:
    """The pictures of the presets, on their buttons."""
    data = {name: base64.b64encode((PRESET_PICTURES / f"{name}.webp").read_bytes()).decode() for name in PRESETS}
    return "".join(
        f"#preset label:has(input[value={name}])::before {{ background-image: url(data:image/webp;base64,{picture}); }}\n"
        for name, picture in data.items()
    )


LOOK = {"theme": _THEME, "css": _CSS + _preset_css(), "js": _NAMES, "i18n": translations()}


class Page(NamedTuple):
    """The page and the queue behind it."""

    blocks: gr.Blocks
    worker: Worker


def page(folder: StudioFolder, paintings: list[Painting]) -> Page:
    """Builds the page of a studio."""
    studio = Studio(folder, Worker(folder), paintings)
    with gr.Blocks(title="nst_jax studio", analytics_enabled=False, fill_width=True, delete_cache=(300, 900)) as blocks:
        gr.Markdown("# nst_jax", elem_id="about")
        gr.Markdown(label("about"))
        with gr.Tabs() as tabs:
            with gr.Tab(label("tab_paint"), id="paint"):
                controls, view = paint_tab(studio)
            with gr.Tab(label("tab_batch"), id="batch"):
                batch_tab(studio, controls)
            with gr.Tab(label("tab_film"), id="film"):
                film_tab(studio, controls, tabs)
            with gr.Tab(label("tab_history"), id="history") as tab:
                gallery_tab(studio, controls, view, tab, tabs)
        endpoints(studio, controls)
    return Page(blocks, studio.worker)
