"""Every card: complete metadata that the Hub can read, a loading snippet that runs, odd names escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import DatasetCard
from support.board import made_up, trivial_pair
from support.features import make_key, make_run
from support.hub import TOKEN, HubServer
from support.synthetic import small

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.hub import build, push, push_results
from vlalign.hub.cards import REQUIRED, TEMPLATES, escape, render, template
from vlalign.hub.perturbed import card as perturbed_card
from vlalign.hub.perturbed import push_perturbed, save_card
from vlalign.hub.record_table import row_of
from vlalign.hub.synthetic import card as synthetic_card
from vlalign.hub.synthetic import push_synthetic
from vlalign.hub.upload_results import card as results_card
from vlalign.perturb import parse_perturbation, perturb_data, write_perturbed
from vlalign.scoring import score
from vlalign.store import FeatureStore, Layer
from vlalign.synthetic import make_data

ODD = "<img src=x onerror=alert(1)>|`模型`\n[a](b)"


def embeddings(tmp_path: Path) -> str:
    runs = [make_run(tmp_path / "s", make_key(name)) for name in ("llama-7b", ODD)]
    abouts = [
        build.build_run(run, tmp_path / "out", f"c{i}", "float16", "vlalign push `x`") for i, run in enumerate(runs)
    ]
    return build.card(abouts, "owner/name", branch="b")


def test_the_columns_and_losses_that_there_are(tmp_path: Path) -> None:
    vision = make_run(tmp_path / "s", make_key("dinov2-small", "vision"))
    text = make_run(tmp_path / "s", make_key("llama-7b"))
    writer = FeatureStore(tmp_path / "t").writer(make_key("clip"), text.ids, 60)
    extras = {"tokens": torch.arange(60), "mine": torch.ones(60)}
    layers = [Layer(0, "block_0", 2, "pre-norm")]
    writer.write(writer.shards[0], {"block_0": torch.full((60, 2), 1 + 2.0**-11)}, layers, extras)
    runs = {"v": vision, "t": text, "clip": writer.finish({"n": 1})}
    made = {name: build.build_run(run, tmp_path / "out", name, "float16") for name, run in runs.items()}

    def told(*names: str) -> tuple[list[str], str]:
        card = build.card([made[name] for name in names], "owner/name", branch="main")
        return re.findall(r"`(extra_\w+`(?: \([^)]*\))?)", card), card

    bits = "extra_bits` (bits of a text under its language model)"
    assert told("v")[0] == []
    assert told("t")[0] == [bits, "extra_bytes` (size of a text in bytes)"]
    tokens = "extra_tokens` (tokens of a text that the model read)"
    assert told("clip")[0] == ["extra_mine`", tokens]
    assert told("clip", "t")[0][0] == bits
    assert "off by 0.00049 of its norm, measured over all" in told("clip")[1]
    worst = max(made[name].precision.largest_row_error for name in made)
    assert worst > made["t"].precision.largest_row_error
    assert f"off by {worst:.2g} of its norm" in told("v", "t", "clip")[1]
    assert f"off by {made['t'].precision.largest_row_error:.2g} of its norm" in told("t")[1]
    assert "(minhuh/prh), whose licences apply, too" in told("t")[1]
    exact = build.build_run(text, tmp_path / "exact", "c", "float32")
    assert "float16 rounds" not in build.card([exact], "owner/name", branch="main")


def results(tmp_path: Path) -> str:
    runs = [make_run(tmp_path / "s", make_key(name)) for name in ("llama-7b", ODD)]
    record = score(*runs, permutations=19, half_samples=20)
    rows = [row_of(record, f"results/{i}.json", b"") for i in range(12)]
    return results_card(rows, "owner/name", branch="main", licence="mit", commands=["vlalign push-results `x`"])


def perturbed(tmp_path: Path) -> str:
    data = open_data(DataSpec("builtin:emoji", max_samples=5), ["text", "vision"])
    edited = perturb_data(data, [parse_perturbation("char_delete:30,seed=2")])
    return perturbed_card(edited, "a.parquet", command="vlalign perturb `x`", repo="owner/name")


def synthetic(tmp_path: Path) -> str:
    return synthetic_card(make_data(small(), 3), 2, "owner/name")


CARDS: dict[str, Callable[[Path], str]] = {
    "embeddings": embeddings, "results": results, "perturbed": perturbed, "synthetic": synthetic,
}  # fmt: skip


def test_every_template_has_a_test() -> None:
    assert set(CARDS) == set(TEMPLATES)
    folder = Path(__file__).resolve().parents[2] / "cards"
    assert {path.stem for path in folder.glob("*.md")} == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_metadata_and_text(tmp_path: Path, name: str) -> None:
    text = CARDS[name](tmp_path)
    head, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    told = yaml.safe_load(head)
    assert set(REQUIRED) <= set(told)
    assert DatasetCard(text).data.to_dict() == told
    assert all(re.fullmatch(r"n<1K|\d+K<n<\d+K", size) for size in told["size_categories"])
    names = [config["config_name"] for config in told["configs"]]
    assert len(set(names)) == len(names)
    for config in told["configs"]:
        for entry in config["data_files"]:
            assert set(entry) == {"split", "path"}
    assert all(isinstance(tag, str) and tag == tag.strip() for tag in told["tags"])
    for part in ("## Loading", "## Provenance", "## Known limits", "```python\n"):
        assert part in body
    assert "{{" not in body
    assert "{%" not in body
    assert "<img" not in body
    assert not re.search(r"^\|.*[^|\n]$", body, re.MULTILINE), "a row of a table is broken"
    assert "/tmp" not in text


def test_a_checkout_and_a_wheel_find_their_templates() -> None:
    assert template("results").startswith("---\n{{ metadata }}")
    with pytest.raises(VlalignError, match="missing"):
        template("nothing")


def test_incomplete_metadata_are_refused() -> None:
    with pytest.raises(VlalignError, match="lack license, size_categories"):
        render("results", {"pretty_name": "x"})


def test_results_beside_trivial_features() -> None:
    records = [made_up(), trivial_pair(0.3), trivial_pair(0.4, random=True)]
    rows = [row_of(record, f"results/{i}.json", b"") for i, record in enumerate(records)]
    for shown, expected in ((rows, 1), (rows[:1], 0)):
        card = results_card(shown, "owner/name", branch="main", licence="mit", commands=["vlalign push-results `x`"])
        line = "Trivial features of the same samples reach 0.3000 (0.2500 – 0.3500, p 0.0100): pixels × TF-IDF."
        assert card.count(line) == expected


def test_escape() -> None:
    assert "\n" not in escape(ODD)
    assert not set("<>|`[]") & set(escape(ODD))


def snippets(text: str) -> list[str]:
    """The Python of a card."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def execute(code: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a snippet as a user would paste it; returns what it printed."""
    capsys.readouterr()
    exec(compile(code, "card", "exec"), {})
    return capsys.readouterr().out


def test_snippets_run(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store"
    runs = [make_run(store, make_key("llama-7b")), make_run(store, make_key("dinov2-small", "vision"))]
    for branch in ("main", "second"):
        push(store, "owner/card-features", revision=branch)
        (code,) = snippets(hub.files("datasets/owner/card-features", branch)["README.md"].read().decode())
        assert f'revision="{branch}"' in code or branch == "main"
        assert execute(code, capsys) == "sample-0 5\nsample-1 5\n(60, 5)\n"
    score(*runs, permutations=0, half_samples=0).save(tmp_path / "results" / "a.json")
    push_results(["results"], "owner/card-results")
    first, second = snippets(hub.files("datasets/owner/card-results")["README.md"].read().decode())
    assert "llama-7b" in execute(first, capsys)
    assert "results/llama-7b" in execute(second, capsys)
    push_synthetic(make_data(small(), 3), 2, "owner/card-synthetic")
    (code,) = snippets(hub.files("datasets/owner/card-synthetic")["README.md"].read().decode())
    assert execute(code, capsys).startswith("sample-")
    data = open_data(DataSpec("builtin:emoji", max_samples=5), ["text"])
    edited = perturb_data(data, [parse_perturbation("word_shuffle:50")])
    card = save_card(edited, write_perturbed(edited, tmp_path / "edited.parquet"))
    assert card.name == "edited.card.md"
    push_perturbed(edited, "owner/card-perturbed")
    for text in (card.read_text(), hub.files("datasets/owner/card-perturbed")["README.md"].read().decode()):
        (code,) = snippets(text)
        assert data.ids[0] in execute(code, capsys)


def test_names_of_files_are_literals_in_the_snippet(tmp_path: Path) -> None:
    data = perturb_data(
        open_data(DataSpec("builtin:emoji", max_samples=3), {"text"}), [parse_perturbation("char_delete:9")]
    )
    text = perturbed_card(data, 'a"b\x1b[2J\u202e.parquet')
    assert 'data_files="a\\"b\\u001b[2J\\u202e.parquet"' in text


def test_versions_of_every_extraction_are_told_or_their_lack(tmp_path: Path) -> None:
    run = make_run(tmp_path / "s", make_key("llama-7b"))
    (run.path / "provenance.jsonl").unlink(missing_ok=True)
    about = build.build_run(run, tmp_path / "a", "c", "float32")
    assert about.extracted_with == {}
    assert "except for `c`, where they were not recorded" in build.card([about], "owner/name", branch="main")
    writer = FeatureStore(tmp_path / "s").writer(run.key, run.ids, run.shard_rows)
    for shards, version in ((3, "2.8"), (1, "2.9"), (2, "2.9"), (0, "3.0")):
        writer.log({"event": "extracted", "shards": shards, "environment": {"packages": {"torch": version}}})
    about = build.build_run(run, tmp_path / "b", "c", "float32")
    assert about.extracted_with == {"torch": "2.8, 2.9"}
    assert "except for" not in build.card([about], "owner/name", branch="main")
