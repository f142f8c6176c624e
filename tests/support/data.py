"""A toy image–text data set in the shape of ``minhuh/prh``."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw

from support.captions import COLOURS, SHAPES, caption, second_caption


def picture(index: int) -> Image.Image:
    """A coloured shape on a coloured ground, RGB; sizes differ, and no two pictures are the same."""
    width, height = 48 + 8 * (index % 3), 48 + 4 * (index % 4)
    colours = list(COLOURS.values())
    ground = tuple((channel // 2 + 17 * index) % 256 for channel in colours[(index + 3) % len(colours)])
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    fill, inset = colours[index % len(colours)], 6 + index % 5
    box = (inset, inset, width - inset, height - inset)
    middle = (width // 2, height // 2)
    match SHAPES[(index // 2) % len(SHAPES)]:
        case "circle":
            draw.ellipse(box, fill=fill)
        case "square":
            draw.rectangle(box, fill=fill)
        case "triangle":
            draw.polygon([(box[0], box[3]), (middle[0], box[1]), (box[2], box[3])], fill=fill)
        case "cross":
            draw.line((box[0], middle[1], box[2], middle[1]), fill=fill, width=9)
            draw.line((middle[0], box[1], middle[0], box[3]), fill=fill, width=9)
        case "ring":
            draw.ellipse(box, outline=fill, width=7)
        case _:
            draw.line((box[0], box[1], box[2], box[3]), fill=fill, width=11)
    return image


def png(image: Image.Image) -> bytes:
    """The picture's PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_prh(folder: str | Path, n: int = 24, *, readme: bool = True) -> Path:
    """Write ``data/train-00000-of-00001.parquet`` with columns ``image`` and ``text`` (two captions a row).

    ``readme`` adds the card with the configuration that ``push_to_hub`` writes.
    """
    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageFeature

    folder = Path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    features = Features({"image": ImageFeature(), "text": List(Value("string"))})
    rows = {
        "image": [{"bytes": png(picture(index)), "path": f"{index:04d}.png"} for index in range(n)],
        "text": [[caption(index), second_caption(index)] for index in range(n)],
    }
    Dataset.from_dict(rows, features=features).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    if readme:
        card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
        (folder / "README.md").write_text(card, encoding="utf-8")
    return folder
