"""Cards on the Hub: what others wrote below the mark stays, what they wrote above it is not lost unasked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard
from support.features import make_key, make_run
from support.hub import TOKEN, HubServer
from support.repos import Blob
from support.synthetic import small

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.hub import push, push_results
from vlalign.hub.perturbed import push_perturbed
from vlalign.hub.synthetic import push_synthetic
from vlalign.perturb import parse_perturbation, perturb_data
from vlalign.scoring import score
from vlalign.synthetic import make_data

MARK = r"<!-- vlalign [0-9a-f]{16}(, license \S+)?: what is above is .*; what is below stays -->"
Push = Callable[..., object]


def features(repo: str, **options: Any) -> object:
    if not Path("store").exists():
        make_run(Path("store"), make_key("dinov2-small", "vision"))
    return push("store", repo, **options)


def results(repo: str, **options: Any) -> object:
    if not Path("r").exists():
        runs = [make_run(Path("s"), make_key(*one)) for one in (("llama-7b",), ("dinov2-small", "vision"))]
        score(*runs, permutations=0, half_samples=0).save("r/a.json")
    return push_results(["r"], repo, **options)


def perturbed(repo: str, **options: Any) -> object:
    data = open_data(DataSpec("builtin:emoji", max_samples=5), ["text"])
    return push_perturbed(perturb_data(data, [parse_perturbation("word_shuffle:50")]), repo, **options)


def synthetic(repo: str, **options: Any) -> object:
    return push_synthetic(make_data(small(), 3), 2, repo, **options)


PUSHES: dict[str, Push] = {"features": features, "results": results, "perturbed": perturbed, "synthetic": synthetic}


@pytest.fixture(autouse=True)
def owner(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)


def readme(hub: HubServer, repo: str) -> str:
    return hub.files(f"datasets/{repo}")["README.md"].read().decode()


def edit(hub: HubServer, repo: str, change: Callable[[str], str]) -> str:
    """Edit the README.md as on the Hub's page; returns it."""
    files = dict(hub.files(f"datasets/{repo}"))
    text = change(readme(hub, repo))
    files["README.md"] = Blob.make(text.encode(), "README.md")
    hub.repos[f"datasets/{repo}"].commit("main", files, "edited")
    return text


@pytest.mark.parametrize("kind", PUSHES)
def test_what_is_below_the_mark_stays(hub: HubServer, kind: str) -> None:
    act, repo = PUSHES[kind], f"owner/below-{kind}"
    act(repo)
    assert re.fullmatch(MARK, readme(hub, repo).splitlines()[-1])
    mine = "\n## Mine\n\n<!-- vlalign 0123456789abcdef: not a mark -->\nEvery word.  \n\n"
    text = edit(hub, repo, lambda text: text + mine)
    act(repo)
    assert readme(hub, repo) == text
    edit(hub, repo, lambda text: text.replace("\n", "\r\n"))  # as some editors save it
    act(repo)
    assert readme(hub, repo) == text
    act(repo, force=True)
    assert readme(hub, repo) == text


@pytest.mark.parametrize("kind", PUSHES)
def test_what_is_above_the_mark_is_not_lost_unasked(hub: HubServer, kind: str) -> None:
    act, repo = PUSHES[kind], f"owner/above-{kind}"
    act(repo)
    before = readme(hub, repo)
    edit(hub, repo, lambda text: text.replace("## Loading", "My words.\n\n## Loading") + "Below.\n")
    edited = readme(hub, repo)
    with pytest.raises(VlalignError, match=r"README.md of data set .* was edited above its mark .* move .*--force"):
        act(repo)
    assert readme(hub, repo) == edited
    act(repo, force=True)
    assert readme(hub, repo) == before + "Below.\n"
    edit(hub, repo, lambda text: re.sub(MARK, "", text))
    with pytest.raises(VlalignError, match=r"README.md of data set .* lacks the mark .*--force"):
        act(repo)
    act(repo, force=True)
    assert readme(hub, repo) == before


@pytest.mark.parametrize("kind", PUSHES)
def test_a_licence_stays_until_another_is_given(hub: HubServer, kind: str) -> None:
    act, repo = PUSHES[kind], f"owner/licence-{kind}"

    def told() -> object:
        return DatasetCard(readme(hub, repo)).data.license

    act(repo)
    assert told() == ("apache-2.0" if kind in ("features", "synthetic") else "unknown")
    for options, expected in (({"licence": "cc-by-4.0"}, "cc-by-4.0"), ({}, "cc-by-4.0"), ({"licence": "mit"}, "mit")):
        act(repo, **options)
        assert told() == expected
    edit(hub, repo, lambda text: text.replace("## Loading", "## Reading"))
    act(repo, force=True)
    assert told() == "mit"
    with pytest.raises(VlalignError, match="--license 'no licence -->' is no licence"):
        act(repo, licence="no licence -->")


def test_a_given_licence_that_is_the_models_stays_when_others_come(hub: HubServer) -> None:
    features("owner/licence-grows", licence="apache-2.0")
    make_run(Path("store"), make_key("llama-7b"))
    features("owner/licence-grows")
    assert DatasetCard(readme(hub, "owner/licence-grows")).data.license == "apache-2.0"
    assert "the one that was given with the push" in readme(hub, "owner/licence-grows")


def test_a_foreign_readme_goes_only_by_force(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "README.md").write_text("# Theirs\n")
    hub.add_dataset("owner/their-readme", tmp_path / "theirs")
    with pytest.raises(VlalignError, match=r"holds something else \('README.md'\)"):
        features("owner/their-readme")
    features("owner/their-readme", force=True)
    assert "Theirs" not in readme(hub, "owner/their-readme")
