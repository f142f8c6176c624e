"""The recipes of CONTRIBUTING.md work as they are written, and files that state the version agree."""

from __future__ import annotations

import csv
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import vlalign.cli
import vlalign.metrics.definitions
from vlalign.perturb import perturbation, text

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
#: code of each block, by the kind of the block and the file that it names
BLOCKS: dict[tuple[str, str], list[str]] = {}
for kind, name, code in re.findall(r'^```(\w+) title="([^"\n]+)"\n(.*?)^```', GUIDE, re.DOTALL | re.MULTILINE):
    BLOCKS.setdefault((kind, name), []).append(code)


def code_of(name: str) -> str:
    """Return the code that the guide gives for a file."""
    (code,) = BLOCKS["python", name]
    return code


def lines_of(name: str) -> str:
    """Return the lines that the guide adds to a file."""
    return "".join(line[1:] for code in BLOCKS["diff", name] for line in code.splitlines(True) if line[0] == "+")


def run_tests(code: str, namespace: dict[str, Any], **fixtures: Any) -> int:
    """Run the test functions of a recipe with all cases of theirs; return how many cases ran."""
    exec(compile(code, "<recipe>", "exec", dont_inherit=True), namespace)
    count = 0
    for name in re.findall(r"^def (test_\w+)", code, re.MULTILINE):
        test = namespace[name]
        cases = [{}]
        for mark in getattr(test, "pytestmark", []):
            cases = [{mark.args[0]: value} for value in mark.args[1]]
        for case in cases:
            wanted = [fixture for fixture in fixtures if re.search(rf"def {name}\(.*\b{fixture}\b", code)]
            test(**case, **{fixture: fixtures[fixture] for fixture in wanted})
            count += 1
    return count


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the new modules of the guide, which are imported from it as those of the package."""
    new = [name for kind, name in BLOCKS if kind == "python" and not (ROOT / name).exists() and name[:7] == "vlalign"]
    for name in new:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code_of(name), encoding="utf-8")
    for package in (vlalign, vlalign.metrics.definitions, vlalign.cli):
        place = tmp_path.joinpath(*package.__name__.split("."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(place)])
    yield tmp_path
    for name in new:
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        sys.modules.pop(module, None)
        vars(sys.modules.get(module.rpartition(".")[0], vlalign)).pop(module.rpartition(".")[2], None)


def test_changed_lines_are_there() -> None:
    for (kind, name), codes in BLOCKS.items():
        for code in codes if kind == "diff" else []:
            before = "".join(line[1:] for line in code.splitlines(True) if line[0] != "+")
            assert (ROOT / name).read_text(encoding="utf-8").count(before) == 1, code


def test_a_metric(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlalign.metrics import registry

    module = importlib.import_module("vlalign.metrics.definitions.distance_correlation")
    assert run_tests(code_of("tests/metrics/definitions/test_distance_correlation.py"), {}) == 7
    monkeypatch.setitem(registry.METRICS, "distance_correlation", module.DistanceCorrelation)
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    record = vlalign.score(x, [x**3, x.flip(0)], metric="distance_correlation", permutations=19, half_samples=4)
    assert (record.best["y"]["name"], record.p_value) == ("layer_0", 0.05)
    assert module.distance_correlation(torch.ones(9, 2), x[:9]) == 0


def test_a_model_family(tmp_path: Path) -> None:
    from extraction import test_families as families
    from transformers import AutoConfig, AutoModelForCausalLM

    (stablelm,) = eval(f"[{lines_of('tests/extraction/test_families.py')}]", vars(families))
    families.test_features_are_hidden_states_of_each_text_alone(stablelm, tmp_path)
    rows = (ROOT / "vlalign" / "models" / "registered.csv").read_text(encoding="utf-8").splitlines()
    ((alias, (kind, config)),) = eval(f"{{{lines_of('tests/models/test_registry.py')}}}").items()
    (row,) = csv.DictReader([rows[0], lines_of("vlalign/models/registered.csv")])
    assert (row["alias"], None not in row) == (alias, True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config))
    assert sum(weight.numel() for weight in model.parameters()) == int(row["params"])
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (int(row["layers"]), int(row["width"]))


def test_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    from perturb import test_text

    exec(code_of("vlalign/perturb/text.py"), vars(text))
    monkeypatch.setattr(text, "word_mask", word_mask := vars(text)["word_mask"], raising=False)
    (operation,) = eval(f"[{lines_of('vlalign/perturb/perturbation.py')}]", vars(perturbation))
    monkeypatch.setattr(perturbation, "OPERATIONS", {**perturbation.OPERATIONS, operation.name: operation})
    masked = [
        perturbation.Perturbation("word_mask", rate).texts(["a"], ["one two  three four"])[0] for rate in (25, 50)
    ]
    assert [words.split().count("[MASK]") for words in masked] == [1, 2]
    assert re.sub(r"\S+", "w", masked[1]) == "w w  w w"
    assert run_tests(code_of("tests/perturb/test_text.py"), {**vars(test_text), "word_mask": word_mask}) == 1
    assert eval(f"{{{lines_of('vlalign/uniqueness/report/text.py')}}}").keys() == {"word_mask"}
    del vars(text)["word_mask"]


@pytest.mark.usefixtures("sketched_figures")
def test_a_study(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tests(code_of("tests/sine/test_sine.py"), {}, tmp_path=files) == 1
    verb = importlib.import_module("vlalign.cli.sine")
    config = importlib.import_module("vlalign.sine.config").SineConfig(
        degrees=(1, 3, 5, 7), out=str(files / "made"), cpu=True
    )
    verb.run(options=config, quiet=True)
    assert "Degree 7 fits best" in capsys.readouterr().out
    verb.run(options=config, quiet=True, table="markdown")
    assert capsys.readouterr().out.count("\n") == 6


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    released = re.findall(r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == version


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_workflows_and_forms_have_what_github_needs(path: Path) -> None:
    """Each is YAML of its kind; commands of workflows that name files of this project name files that exist."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        assert {"name", True, "jobs", "permissions"} <= set(document)  # YAML reads `on` as true
        for job in document["jobs"].values():
            assert {"runs-on", "steps"} <= set(job) or (ROOT / job["uses"]).is_file()
        assert all((ROOT / name).exists() for name in re.findall(r"(?<![\w/])\.ci/\w+(?:\.py)?", path.read_text()))
    elif path.name == "config.yml":
        assert all(set(link) == {"name", "url", "about"} for link in document["contact_links"])
    else:
        assert {"name", "description", "body"} <= set(document)
        fields = [field for field in document["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields) > 0
        assert all(field["attributes"]["label"] for field in fields)
