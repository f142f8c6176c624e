"""The sentences that toy tokenizers are trained on and the captions of the toy data set; all made here."""

from __future__ import annotations

COLOURS = {
    "red": (214, 40, 40),
    "orange": (247, 127, 0),
    "yellow": (252, 211, 3),
    "green": (56, 142, 60),
    "blue": (33, 90, 200),
    "purple": (123, 31, 162),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring", "stripe")
PLACES = ("on a grey table", "in the snow", "above the harbour", "beside an old stone wall", "at night", "")


def caption(index: int) -> str:
    """The caption of row ``index``; lengths differ, and a few hold letters that are not ASCII."""
    colour = list(COLOURS)[index % len(COLOURS)]
    shape = SHAPES[(index // 2) % len(SHAPES)]
    place = PLACES[(index // 3) % len(PLACES)]
    text = f"A {colour} {shape} {place}".strip()
    if index % 5 == 1:
        text += f", photographed by a visitor of the museum of geometry in {1900 + 3 * index}"
    if index % 7 == 3:
        text += " near the Café de l'Université – Łódź, 東京"
    return f"{text}."


def second_caption(index: int) -> str:
    """Another caption of the same row."""
    return f"Picture number {index} of the set: {caption(index).rstrip('.').lower()}"


SENTENCES = [caption(index) for index in range(96)] + [second_caption(index) for index in range(96)]
SENTENCES += [
    "The old bridge over the river was built in 1873 and is still used by trains, bicycles and sheep.",
    "A painting of two ships in a storm, oil on canvas, in the national gallery.",
    "Map of the railway lines between the northern towns and the coast.",
    "A small bird with a long tail sits on the branch of an apple tree.",
    "Portrait of the mathematician in her study, with her notebooks and a cup of tea.",
]
