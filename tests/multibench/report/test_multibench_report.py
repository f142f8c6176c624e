"""Console, figures and page of MultiBench studies."""

from __future__ import annotations

import base64
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.commands import options_of
from support.html import Page
from support.multibench import made_up
from support.multibench_results import AFFECT, made_up_multibench
from support.shown import text_of

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchConfig, MultibenchResult, MultibenchStudy
from vlalign.multibench.config import complete
from vlalign.multibench.data.prepared import open_prepared
from vlalign.multibench.report import plan_document, show_plan, show_result, write_report
from vlalign.multibench.report.page import command, given_settings
from vlalign.multibench.report.table1 import save_table1
from vlalign.multibench.report.text import Shown, findings, numbers, p_value, unlike_paper

HTML = "<b>mine</b> &"


def words(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def usual() -> MultibenchResult:
    return made_up_multibench()


@pytest.fixture(scope="module")
def affect() -> MultibenchResult:
    """Three modalities of a data set of the paper, with fewer depths than the paper's."""
    return made_up_multibench(
        -0.3, name="mosi", task="sentiment", modalities=AFFECT, depths=(1, 2, 3, 4, 5, 6), data={"notes": [HTML]}
    )


@pytest.fixture(scope="module")
def files(usual: MultibenchResult, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_report(usual, tmp_path_factory.mktemp("report") / "new" / "folder")


def page_of(result: MultibenchResult, folder: Path, metric: str | None = None) -> str:
    return write_report(result, folder, metric=metric)[-1].read_text(encoding="utf-8")


def test_console_tells_the_planted_correlation(usual: MultibenchResult) -> None:
    text = text_of(lambda console: show_result(usual, console))
    assert max(map(len, text.splitlines())) <= 80
    best = usual.best("image")
    (line,) = [line.split() for line in text.splitlines() if line.startswith("  image   ")]
    assert line[1:7] == [str(best[k]) for k in ("depth", "seed", "epoch")] + [
        f"{best[k]:.3f}" for k in ("train", "valid", "test")
    ]
    assert "0.944" in text
    assert "(0.887)" in text
    assert (
        "image encoders, alignment with the best audio encoder and test accuracy: r = 0.900 (0.62 to 0.98), p ≤ 0.001 "
        "over 10 depths × 3 seeds, counting depths"
    ) in words(text)
    assert "0.80 to 0.95" in text  # the narrower interval that counts encoders
    assert "60 encoders trained in 61 min 1 s, all pairs aligned in 75 s" in words(text)
    assert "not as in the paper" not in text


def test_console_with_three_modalities_fits_80_columns(affect: MultibenchResult) -> None:
    text = text_of(lambda console: show_result(affect, console))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count("−0.89 to 0.68") == 6 + 6  # in the table and the findings
    assert "not as in the paper: depths 1–6 (1–10 in the paper)" in words(text)
    assert HTML in text


def test_another_metric_has_nothing_published_beside_it(usual: MultibenchResult) -> None:
    text = text_of(lambda console: show_result(usual, console, "mutual_knn:k=10"))
    assert "−0.900" in text
    assert "0.944" not in text
    assert "alignment by mutual kNN, k = 10 (unbiased CKA in the paper)" in words(text)
    with pytest.raises(VlalignError, match="no metric cka: the study has unbiased_cka"):
        show_result(usual, Console(), "cka")


def test_the_plan(tmp_path: Path) -> None:
    made_up(tmp_path / "data", name="[b]own")
    study = MultibenchStudy(
        MultibenchConfig(data=str(tmp_path / "data"), out=str(tmp_path / "out"), depths=(1, 2), seeds=(1,), cpu=True,
                         metrics=("unbiased_cka",), train_samples=8)
    )  # fmt: skip
    text = text_of(lambda console: show_plan(study, study.plan(), console), 160)
    assert "[b]own: classification, 3 classes; 12 train, 5 valid, 6 test (the first 8 of train)" in text
    assert "vision 4 × 3, audio 6 × 2 (frames × features)" in text
    assert "2 modalities × 2 depths × 1 seed, 50 epochs: 4 encoders, 4 to train in" in text
    assert "of training on one CPU core" in text
    assert "kB to write" in text
    plan = plan_document(study, study.plan())
    assert (plan["encoders"], plan["to_train"], plan["bytes"]) == (4, 4, study.bytes_to_write(study.plan().missing))


def test_findings_where_there_is_no_correlation() -> None:
    for settings, told in (
        ({"constant": True}, "no correlation (accuracy is the same for all encoders)"),
        (
            {"depths": (1, 2), "seeds": (1,)},
            "left out: 2 encoders of a modality, at least 5 are needed",
        ),
        ({"depths": (1, 2)}, "over 2 depths × 3 seeds, encoders treated as independent, as fewer than 5 depths"),
    ):
        result = made_up_multibench(**settings)  # type: ignore[arg-type]
        assert all(finding.endswith(told) for finding in findings(Shown(result)))
        assert "nan" not in text_of(lambda console, result=result: show_result(result, console))


def test_p_values_at_the_least_possible(usual: MultibenchResult) -> None:
    (one, _) = Shown(usual).directions
    assert one.depths is not None
    assert p_value(one.depths, usual) == "≤ 0.001"
    assert p_value(replace(one.depths, p_value=0.002), usual) == "0.002"
    exact = replace(one.depths, p_value=2 / 40320, p_from="all permutations of 8 blocks")
    assert p_value(exact, usual) == "< 0.001"
    assert p_value(None, usual) == "–"


def test_settings_that_are_not_the_papers(usual: MultibenchResult) -> None:
    assert unlike_paper(usual, "unbiased_cka") == []
    other = made_up_multibench(
        depths=(1, 2, 3, 4, 6), seeds=(2, 22), train_samples=100, epochs=5, align_samples=512, align_split="valid",
        learning_rate=(0.1, 0.001), pool="mean", width=8,
        data={"pool": "cls", "shapes": {"image": [49, 16], "audio": [20, 40]},
              "samples": {"train": 2_000, "valid": 5_000, "test": 10_000}},
    )  # fmt: skip
    told = unlike_paper(other, "unbiased_cka")
    for part in (
        "depths 1–4, 6 (1–10 in the paper)", "seeds 2, 22 (2, 22, 42 in the paper)", "100 of 2000 train samples",
        "epochs 5 (100 in the paper)", "align_split valid (test in the paper)",
        "alignment over 512 samples (4096 in the paper)", "learning_rate 0.1, 0.001 (0.001, 0.001 in the paper)",
        "pool mean (cls in the paper)", "width 8 (that of the features in the paper)",
        "data with 2000 train samples (55000 in the paper)", "audio features 40 wide (36 in the paper)",
    ):  # fmt: skip
        assert part in told
    assert len(told) == 11
    assert unlike_paper(made_up_multibench(name="mine", epochs=3), "unbiased_cka") == []
    assert numbers([1, 2]) == "1, 2"


def test_files_and_page(usual: MultibenchResult, files: list[Path]) -> None:
    figures = [path for path in files if path.suffix == ".png"]
    assert [path.name for path in figures] == ["scatter.png", "depth.png", "layers.png"]
    pdfs = [path.with_suffix(".pdf") for path in figures]
    assert files == [
        *(file for pair in zip(figures, pdfs, strict=True) for file in pair),
        files[0].parent.parent / "report.html",
    ]
    assert all(path.read_bytes().startswith(b"%PDF") for path in pdfs)
    for path in figures:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(maxcolors=2**24) or []) > 50  # something is drawn
            assert image.width < 1400
    found = Page(files[-1].read_text(encoding="utf-8"))
    inside = [base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) for image in found.all("img")]
    assert inside == [path.read_bytes() for path in figures]
    assert all(
        "unbiased CKA" in str(image["alt"]) or "against depth" in str(image["alt"]) for image in found.all("img")
    )
    text = words("".join(found.texts["main"]))
    for part in (
        "AVMNIST, classification of 10 classes; 55000 train, 5000 valid, 10000 test samples; fingerprint c0ffee",
        "10 depths × 3 seeds of each modality: depths 1–10, seeds 2, 22, 42; 100 epochs on 55000 samples",
        "other settings permutations 999",
        "vlalign 0.1.0, torch 2.14.0, commit unknown",
        "Grid and settings are those of the paper.",
        "alignment is no guide to performance on this data",
        "Command that reproduces this study",
    ):
        assert words(part) in text.replace("settingspermutations", "settings permutations")
    for finding in findings(Shown(usual)):
        assert finding[1:] in text
    assert "vlalign multibench run --data data --permutations 999" in found.texts["code"]
    cells = [text.replace("\u00a0", " ") for text in found.texts["td"][:8]]
    assert cells == ["0.900", "0.944", "0.887", "≤ 0.0010.80 to 0.95", "≤ 0.0010.62 to 0.98", *cells[5:]]
    assert found.texts["th"][:4] == ["encoders", "r", "published", "later"]
    best = usual.encoders.iloc[0]
    assert f"{best['test']:.3f}" in found.texts["td"]
    assert len(found.all("tr")) == 1 + 2 + 1 + 2 + 1 + 60


def test_the_page_needs_nothing_but_itself(files: list[Path]) -> None:
    text = files[-1].read_text(encoding="utf-8")
    found = Page(text)
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "iframe", "object", "embed"})
    assert "://" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


@pytest.mark.usefixtures("sketched_figures")
def test_published_values_only_beside_data_sets_of_the_paper(affect: MultibenchResult, tmp_path: Path) -> None:
    text = page_of(affect, tmp_path / "mosi")
    assert text.count("−0.413") == 1  # text with vision, later version
    assert "Not as in the paper: depths 1–6 (1–10 in the paper)" in words(text)
    own = page_of(made_up_multibench(name="mine"), tmp_path / "mine")
    assert "published" not in own.lower()
    assert "in the paper" not in own
    other = page_of(made_up_multibench(), tmp_path / "other", "mutual_knn:k=10")
    assert "0.944" not in other
    assert "−0.900" in other


@pytest.mark.usefixtures("sketched_figures")
def test_chance_of_the_test_samples_is_told(usual: MultibenchResult, tmp_path: Path, files: list[Path]) -> None:
    test = usual.encoders[usual.encoders["modality"] == "image"]["test"]
    error = np.sqrt(test.mean() * (1 - test.mean()) / 10_000)
    part = f"over 10000 test samples has a standard error of {error:.3f}, those of the encoders differ by a standard"
    assert f"{part} deviation of {test.std():.3f}." in words(files[-1].read_text(encoding="utf-8"))
    text = page_of(made_up_multibench(name="mine", task="regression", depths=(1, 2, 3, 4, 5)), tmp_path)
    assert "standard error" not in text
    assert "test R²" in text


@pytest.mark.usefixtures("sketched_figures")
def test_names_are_escaped(tmp_path: Path) -> None:
    result = made_up_multibench(
        name=HTML, modalities=("<i>a</i>", "b$x_{$"), depths=(1, 2), seeds=(1,), data={"notes": ["<script>x</script>"]}
    )
    for path in (write_report(result, tmp_path)[-1], *save_table1([result], tmp_path)[::2]):
        text = path.read_text(encoding="utf-8")
        assert not any(part in text for part in ("<b>mine", "<i>a", "<script"))
        assert "&lt;b&gt;mine&lt;/b&gt; &amp;" in text
        assert "&lt;i&gt;a&lt;/i&gt;" in text
        assert "&lt;script&gt;x" in text
    assert "<i>a</i>" in text_of(lambda console: show_result(result, console))


@pytest.mark.parametrize(
    ("settings", "figures", "drawn"),
    [
        ({"constant": True}, 3, True),
        ({"depths": (1, 2)}, 3, False),
        ({"depths": (3,), "seeds": (1,)}, 2, True),
        ({"task": "regression", "name": "mine", "seeds": tuple(range(12)), "depths": (1, 2)}, 3, False),
        ({"task": "sentiment", "name": "mosei", "modalities": ("audio", "text"), "depths": (1, 2, 3, 4, 30)}, 3, False),
    ],
)
def test_grids_where_little_can_be_said(
    settings: dict[str, Any], figures: int, drawn: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not drawn:
        request.getfixturevalue("sketched_figures")
    files = write_report(made_up_multibench(**settings), tmp_path)
    text = files[-1].read_text(encoding="utf-8")
    assert len(Page(text).all("img")) == figures
    assert len(files) == 2 * figures + 1
    assert ("at least 5 are needed" in text) == (figures == 2)
    assert "nan" not in "".join(Page(text).texts["td"])
    assert "None" not in text


def test_the_command_makes_the_same_settings(tmp_path: Path) -> None:
    data = made_up(tmp_path / "my data")
    for settings in ({}, {"depths": (1, 2), "weight_decay": (0.1, 0.0), "metrics": ("cka:kernel=rbf",), "cpu": True}):
        asked_for = MultibenchConfig(
            data=str(tmp_path / "my data"), **({"metrics": ("unbiased_cka",)} | settings)  # type: ignore[arg-type]
        )  # fmt: skip
        config = complete(asked_for, data)
        told = {
            "name": data.name, "pool": data.pool, "samples": {title: len(s.ids) for title, s in data.splits.items()},
            "shapes": {key: [1, 1] for key in data.modalities},
        }  # fmt: skip
        result = replace(made_up_multibench(), config=config.resolved(), data=told)
        line = shlex.split(command(result))
        assert line[:3] == ["vlalign", "multibench", "run"]
        again = options_of(line[1:])
        assert again == asked_for  # what the data set fills in is left out
        assert complete(again, open_prepared(tmp_path / "my data")) == config
        assert given_settings(result)["epochs"] is None


@pytest.mark.usefixtures("sketched_figures")
def test_the_report_of_a_run(tmp_path: Path) -> None:
    made_up(tmp_path / "data", about={"notes": ["noise, <made up>"]})
    study = MultibenchStudy(
        MultibenchConfig(data=str(tmp_path / "data"), out=str(tmp_path / "out"), depths=(1, 2), seeds=(1, 2, 3),
                         epochs=1, cpu=True, metrics=("unbiased_cka",), permutations=99)
    )  # fmt: skip
    study.run()
    result = MultibenchResult.load(tmp_path / "out")
    text = words(page_of(result, tmp_path / "out"))
    assert "Data: noise, &lt;made up&gt;" in text
    assert "12 train, 5 valid, 6 test samples" in text
    assert f"--data {tmp_path / 'data'} --depths 1 2 --seeds 1 2 3 --epochs 1 --metrics unbiased_cka" in text
    assert "--pool" not in text
    assert f"{result.best('audio')['test']:.3f}" in text


def test_a_folder_that_cannot_be_written(usual: MultibenchResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="file"):
        write_report(usual, tmp_path / "file")
