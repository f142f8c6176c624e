"""Make the built-in image-text set from a table of Noto emoji.

    python scripts/make_emoji_set.py noto_emoji.parquet vlalign/data/builtin/emoji.parquet

The input has one row per emoji: ``id`` (code points in hexadecimal, joined by "-"), ``image`` {bytes, path} (PNG),
``category``, ``subcategory``, and for each language ``label_xx`` and ``tags_xx`` (CLDR name and keywords). The result
is the same, byte for byte, for the same input and pyarrow version: the selection is by hashes of ids.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "fr", "de", "es", "ja", "zh", "ru", "pt", "hi")
NO_SPACES = ("ja", "zh")  # written without spaces between words
SIZE = 1024
SALT = "vlalign emoji 1"

FEMALE, MALE = "2640", "2642"
PERSON, MAN, WOMAN = "1f9d1", "1f468", "1f469"
FACING_RIGHT = "27a1"


def left_out(row: Mapping[str, Any], ids: set[str]) -> str | None:
    """Return why a row is left out: it nearly repeats another picture, or shows only letters or digits; else None."""
    points = row["id"].split("-")
    if row["subcategory"] in ("keycap", "alphanum"):
        return "letters and digits"
    if 0x1F550 <= int(points[0], 16) <= 0x1F567:
        return "clock faces"
    if row["subcategory"] == "family" or row["label_en"].startswith("family:"):
        return "families and couples"
    if FACING_RIGHT in points[1:]:
        return "the same person, facing right"
    if len(points) > 1 and (FEMALE in points or MALE in points):
        return "gender variants"
    if len(points) > 1 and points[0] in (MAN, WOMAN) and "-".join([PERSON, *points[1:]]) in ids:
        return "gender variants"
    if row["subcategory"] == "geometric" and re.search(r"\b(small|medium)\b", row["label_en"]):
        return "smaller sizes of a shape"
    return None


def words(text: str) -> set[str]:
    """Return the case-folded words of a text; a plural s is dropped, so that "eye" repeats "eyes"."""
    parts = re.split(r"[\s\-\u2010-\u201f\"'`,.;:!?()/&*#<>]+", text.casefold())
    return {re.sub(r"(?<=...)s$", "", word) for word in parts if any(map(str.isalnum, word))}


def caption(label: str, keywords: Sequence[str], language: str) -> str:
    """Return a caption, "label: keyword, keyword", with the keywords that add to the label.

    >>> caption("rabbit face", ["animal", "bunny", "face", "pet", "rabbit"], "en")
    'rabbit face: animal, bunny, pet'
    >>> caption("person: beard", ["beard", "bearded", "person", "whiskers"], "en")
    'person, beard: bearded, whiskers'
    >>> caption("paperclip", ["paperclip"], "en")
    'paperclip'
    """
    label = re.sub(r"\s*[:\uff1a]\s*", "\u3001" if language in NO_SPACES else ", ", " ".join(label.split()))
    known = words(label)
    kept: list[str] = []
    for keyword in keywords:
        keyword = " ".join(keyword.split())
        if language in NO_SPACES:
            repeats = keyword.casefold() in label.casefold()
        else:
            repeats = words(keyword) <= known  # also for symbols without a word, such as "!!"
        if keyword and not repeats and keyword not in kept:
            kept.append(keyword)
    if not kept:
        return label
    return f"{label}\uff1a{chr(0x3001).join(kept)}" if language in NO_SPACES else f"{label}: {', '.join(kept)}"


def order(row: Mapping[str, Any]) -> str:
    """Return the sort key of an emoji in its category and in the result: a hash of its id."""
    return hashlib.sha256(f"{SALT}:{row['id']}".encode()).hexdigest()


def quotas(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the number to take from each category, as even as their sizes allow.

    >>> quotas({"a": 5, "b": 50, "c": 50}, 26)
    {'a': 5, 'b': 11, 'c': 10}
    """
    taken = dict.fromkeys(sizes, 0)
    while sum(taken.values()) < total:
        free = [name for name in sorted(sizes) if taken[name] < sizes[name]]
        if not free:
            raise SystemExit(f"only {sum(sizes.values())} candidates for {total} places")
        least = min(taken[name] for name in free)
        taken[next(name for name in free if taken[name] == least)] += 1
    return taken


def pixels(row: Mapping[str, Any]) -> bytes:
    """Return a hash of the picture on white."""
    from PIL import Image

    image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGBA")
    return hashlib.sha256(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).tobytes()).digest()


def select(rows: Sequence[Mapping[str, Any]], total: int = SIZE) -> tuple[list[Mapping[str, Any]], Counter[str]]:
    """Return the chosen rows in the order of the result (by hashed id), and the number left out by reason."""
    ids = {row["id"] for row in rows}
    reasons: Counter[str] = Counter()
    seen: set[Any] = set()
    candidates: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=order):
        reason = left_out(row, ids)
        marks = (caption(row["label_en"], row["tags_en"], "en"), pixels(row))
        if reason is None and not seen.isdisjoint(marks):
            reason = "same caption or same picture as another"
        if reason is not None:
            reasons[reason] += 1
            continue
        seen.update(marks)
        candidates.setdefault(row["category"], []).append(row)
    share = quotas({name: len(group) for name, group in candidates.items()}, total)
    chosen = [row for name, group in candidates.items() for row in group[: share[name]]]
    reasons["more than the category's share"] = sum(map(len, candidates.values())) - len(chosen)
    return sorted(chosen, key=order), reasons


def main() -> None:
    """Read the source table, write the set, and report rows that were left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="noto_emoji.parquet")
    parser.add_argument("target", type=Path, help="the parquet file to write")
    arguments = parser.parse_args()

    chosen, reasons = select(pq.read_table(arguments.source).to_pylist())
    texts = {"text" if language == "en" else f"text_{language}": language for language in LANGUAGES}
    columns: dict[str, Any] = {
        "id": [row["id"] for row in chosen],
        "image": pa.array(
            [{"bytes": row["image"]["bytes"], "path": f"{row['id']}.png"} for row in chosen],
            type=pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        ),
    }
    for column, code in texts.items():
        columns[column] = [caption(row[f"label_{code}"], row[f"tags_{code}"], code) for row in chosen]
    columns |= {name: [row[name] for row in chosen] for name in ("category", "subcategory")}
    features = {name: {"dtype": "string", "_type": "Value"} for name in columns} | {"image": {"_type": "Image"}}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    # a dictionary helps the two category columns only; small row groups let readers fetch a few pictures
    pq.write_table(table, arguments.target, compression="zstd", compression_level=19, row_group_size=256,
                   use_dictionary=["category", "subcategory"])  # fmt: skip

    for reason, count in sorted(reasons.items()):
        print(f"left out {count:4d}  {reason}")
    for name, count in sorted(Counter(row["category"] for row in chosen).items()):
        print(f"kept     {count:4d}  {name}")
    print(f"{table.num_rows} emoji, {arguments.target.stat().st_size / 2**20:.2f} MiB: {arguments.target}")


if __name__ == "__main__":
    main()
