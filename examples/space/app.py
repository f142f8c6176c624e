"""Gradio Space that scores two files of embeddings, or two small models on the built-in pictures and captions.

    pip install 'vlalign[space]'
    python examples/space/app.py

It asks the network for nothing but the models that a visitor names.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported

import gradio as gr
import numpy as np

import vlalign
from vlalign.data.arrow_tables import TABLES
from vlalign.data.embeddings import ARRAYS
from vlalign.extraction import Engine, ExtractOptions
from vlalign.models.registry import ALIASES

LARGEST = 600e6  # parameters of a model, for a free Space of 16 GB
METRICS = ("mutual_knn", "unbiased_cka", "cknna", "rsa")
ABOUT = """# How aligned are two models?

Two models arrange the same samples in the same neighbourhoods, or they do not. This Space scores it with
[vlalign](https://github.com/vlalign/vlalign), beside its chance level, with an interval and a p-value that accounts
for the choice of layers.
"""


def score_files(x: str | None, y: str | None, x_key: str, y_key: str, metric: str) -> str:
    """Score two uploaded files whose rows are paired: by ids where both have them, else by order."""
    if not x or not y:
        raise refusal("Upload a file for each side.")
    try:
        sides = [vlalign.read_embeddings(f"{path}:{key}" if key else path) for path, key in ((x, x_key), (y, y_key))]
        names, ids = (side.name for side in sides), [side.ids for side in sides]
        record = vlalign.score(sides[0].features, sides[1].features, names=tuple(names), ids=ids, metric=metric)
        return record._repr_html_()
    except vlalign.VlalignError as error:
        raise refusal(error, x, y) from error


def score_models(x: str, y: str, samples: int, metric: str) -> str:
    """Score two models of the Hub on the first of the built-in emoji and their captions."""
    try:
        with tempfile.TemporaryDirectory() as store:
            models = tuple(name if name.lower() in ALIASES else f"hub:{name}" for name in (x.strip(), y.strip()))
            data = vlalign.DataSpec("builtin:emoji", max_samples=int(samples))
            engine = Engine(ExtractOptions(models=models, data=data, store=store, loss=False, workers=0))
            plan = engine.plan()
            for model in plan.models:
                if model.sketch.parameters > LARGEST:
                    size = f"{model.source.spec.alias} has {model.sketch.parameters / 1e6:,.0f} million parameters"
                    raise refusal(f"{size}: this Space takes up to {LARGEST / 1e6:.0f} million.")
            first, *others = (extraction.run for extraction in engine.run(plan))
            return vlalign.score(first, others[-1] if others else first, metric=metric)._repr_html_()
    except vlalign.VlalignError as error:
        raise refusal(error) from error


def refusal(error: vlalign.VlalignError | str, *paths: str) -> gr.Error:
    """Return an error that stays on the page, without the folders of uploads."""
    message = str(error)
    for path in paths:
        message = message.replace(f"{Path(path).parent}/", "")
    return gr.Error(message, duration=None, print_exception=False)


def example_files() -> list[str]:
    """Write made-up embeddings of 300 samples that share eight dimensions; return their paths."""
    draw = np.random.default_rng(0)
    folder, shared = Path(tempfile.mkdtemp(prefix="vlalign-space-")), draw.normal(size=(300, 8))
    for name, width in (("vision", 64), ("text", 48)):
        noise = draw.normal(size=(300, width))
        np.save(folder / f"{name}.npy", (shared @ draw.normal(size=(8, width)) + 3 * noise).astype(np.float32))
    return [str(folder / f"{name}.npy") for name in ("vision", "text")]


def build() -> gr.Blocks:
    """Return the page."""
    kinds = [*ARRAYS, *TABLES]
    with gr.Blocks(title="vlalign: how aligned are two models?", analytics_enabled=False) as page:
        gr.Markdown(ABOUT)
        metric = gr.Dropdown(METRICS, value=METRICS[0], label="Metric")
        with gr.Tab("Two files of embeddings"):
            with gr.Row():
                files = [gr.File(label=f"Embeddings of model {name}", file_types=kinds) for name in "XY"]
            with gr.Accordion("A file with several arrays or columns", open=False), gr.Row():
                keys = [gr.Textbox(label=f"Array or column of model {name}") for name in "XY"]
            score = gr.Button("Score the files", variant="primary")
            card = gr.HTML(apply_default_css=False)
            gr.Examples([example_files()], files, label="Made-up embeddings of 300 samples")
            score.click(score_files, [*files, *keys, metric], card, api_name="files")
        with gr.Tab("Two small models"):
            with gr.Row():
                models = [
                    gr.Textbox(value, label=f"Model {name}", info="an alias of vlalign, or owner/name on the Hub")
                    for name, value in (("X", "vit-tiny-augreg"), ("Y", "EleutherAI/pythia-70m"))
                ]
            samples = gr.Slider(64, 512, value=128, step=32, label="Emoji with English captions")
            score = gr.Button("Score the models", variant="primary")
            card = gr.HTML(apply_default_css=False)
            score.click(score_models, [*models, samples, metric], card, api_name="models", concurrency_limit=1)
    return page


if __name__ == "__main__":
    build().launch(max_file_size="200mb", footer_links=[])
