"""Answers of the Hub that are no success: one line each that says what to do, for reading and for writing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.features import make_store
from support.hub import TOKEN, HubServer
from support.tiny import TinyModels

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.remote import hub_errors, resolve_revision

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}
NO_HUB = "does not come from a Hub: a login page or a proxy may be in between"
ANSWERS: dict[str, tuple[tuple[int, bytes, dict[str, str]], str]] = {
    "a web page": ((200, b"<html><body>please log in</body></html>", HTML), NO_HUB),
    "nothing": ((200, b"", {}), NO_HUB),
    "an empty object": ((200, b"{}", JSON), NO_HUB),
    "a list": ((200, b"[]", JSON), NO_HUB),
    "null": ((200, b"null", JSON), NO_HUB),
    "nesting without end": ((200, b"[" * 50_000, JSON), NO_HUB),
    "half of an object": ((200, b'{"sha": "abc', JSON), NO_HUB),
    "no commit": ((200, b'{"id": "owner/name"}', JSON), NO_HUB),
    "a commit that is none": ((200, b'{"id": "owner/name", "sha": "../../x"}', JSON), NO_HUB),
    "bytes": ((200, bytes(range(256)), {}), NO_HUB),
    "broken compression": ((200, b"no gzip", {"Content-Encoding": "gzip"}), NO_HUB),
    "a circle": ((302, b"", {"Location": "/api/circle"}), NO_HUB),
    "401": ((401, b"", {}), "wants a valid token for model 'owner/name': log in with `hf auth login`, or set HF_TOKEN"),
    "403": ((403, b"<html>", HTML), "does not let you read model 'owner/name': ask for access at https://"),
    "403 with a reason": ((403, b"", {"X-Error-Message": "No \x1b way"}), "(No \x1b way): ask for access"),
    "404": ((404, b"", {}), "has no model 'owner/name' where it was looked for: check its name and HF_ENDPOINT"),
    "407": ((407, b"", {}), "a proxy in between wants a login for model 'owner/name': check HTTPS_PROXY"),
    "418": ((418, b"", {}), "the Hub refused model 'owner/name' (status 418)"),
    "429": ((429, b"", {}), "too many requests and does not answer for model 'owner/name': wait some minutes"),
    "500": ((500, b"", {}), "cannot answer for model 'owner/name' now (status 500): run the same command again later"),
    "half of the bytes": ((200, b"{", {**JSON, "Content-Length": "99", "Connection": "close"}), "no network: model"),
}


@pytest.fixture(autouse=True)
def owner(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield
    hub.fault = None


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_explained(hub: HubServer, name: str) -> None:
    answer, message = ANSWERS[name]
    hub.fault = lambda method, path: answer
    with pytest.raises(VlalignError) as caught:
        resolve_revision("owner/other" if "sha" in str(answer) else "owner/name")  # the client keeps what it is given
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    message = r"cannot be reached at http://127\.0\.0\.1:9 \(HF_ENDPOINT\); connect"
    with pytest.raises(VlalignError, match=message), hub_errors("owner/name"):
        HfApi(endpoint=constants.ENDPOINT).model_info("owner/name")


def test_faults_of_our_code_are_not_blamed_on_the_hub() -> None:
    for error in (KeyError("a"), ValueError("b")):
        with pytest.raises(type(error)), hub_errors("owner/name"):
            raise error


@pytest.mark.parametrize("name", ["a web page", "an empty object", "a list", "401", "403", "429", "500"])
def test_every_verb_says_so_on_one_line(
    hub: HubServer, tiny: TinyModels, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(tmp_path / "features").root
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text(json.dumps({}))
    (tmp_path / "texts.csv").write_text("id,text\na,one\nb,two\n")
    extract = ["extract", "--store", f"{tmp_path}/s", "--cpu"]
    answer = ANSWERS[name][0]
    hub.fault = lambda method, path: answer
    for line in (
        [*extract, "--model", "owner/model", "--data", f"{tmp_path}/texts.csv"],
        [*extract, "--model", str(tiny.path("llama")), "--data", "owner/data"],
        ["perturb", "owner/data", "--op", "char_delete:10", "--no-sheet"],
        ["pull", "owner/unread-features", "--store", f"{tmp_path}/s"],
        ["push", str(store), "--repo", "owner/features"],
        ["push", str(store), "--repo", "owner/features", "--dry-run"],
        ["leaderboard", "owner/unread-results", "--out", f"{tmp_path}/site"],
    ):
        assert main(line) == 1, line
        said = capsys.readouterr()
        (words,) = [one for one in said.err.splitlines() if one.strip()]
        assert words.startswith(f"vlalign {line[0]}: error: ")
        assert "unexpected" not in words
        assert "owner/" in words or "your token" in words or "this token" in words
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["a web page", "401", "403", "half of the bytes"])
def test_a_hub_that_fails_at_the_files(
    hub: HubServer, tiny: TinyModels, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add_model("owner/unread-model", tiny.path("bloom"))  # no other test may have it in the cache
    (tmp_path / "texts.csv").write_text("id,text\na,one\nb,two\n")
    answer = ANSWERS[name][0]
    hub.fault = lambda method, path: answer if "/resolve/" in path else None
    line = ["extract", "--model", "owner/unread-model", "--data", f"{tmp_path}/texts.csv", "--cpu"]
    assert main([*line, "--store", f"{tmp_path}/s"]) == 1
    (words,) = [one for one in capsys.readouterr().err.splitlines() if one.strip()]
    assert "unread-model" in words
    assert "unexpected" not in words
