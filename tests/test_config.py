"""Options: types, ranges and choices of fields, values of YAML files, keywords of functions."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Interval

import vlalign.config
from vlalign.config import Many, Number, Options, descriptions, keywords, plain, read_options
from vlalign.errors import VlalignError


class Inner(Options):
    """Options inside others."""

    source: str = dataclasses.field(default="builtin", kw_only=False)
    """data set"""

    rows: Annotated[int, Ge(1)] | None = None
    """first rows to read"""


class Sample(Options):
    """Options of every kind."""

    text: str = "a"
    """text that
    takes two lines"""

    count: Annotated[int, Interval(ge=1, le=9)] = 3
    """number"""

    share: Number = 0.5
    flag: bool = False
    mode: Literal["exact", "mean"] = "exact"
    whole: int | None = None
    seeds: Many[Annotated[int, Ge(0)]] = (2, 22)
    rates: Many[Number] = ()
    names: Many[str] | None = None
    inner: Inner = Inner()
    free: Any = None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("text", "b", "b"),
        ("count", 9, 9),
        ("share", 3, 3.0),
        ("share", "1e-3", 0.001),
        ("flag", True, True),
        ("mode", "mean", "mean"),
        ("whole", None, None),
        ("whole", 3, 3),
        ("seeds", [], ()),
        ("seeds", [1, 2], (1, 2)),
        ("seeds", 4, (4,)),
        ("rates", [1, "2e-1"], (1.0, 0.2)),
        ("names", "a", ("a",)),
        ("names", ["a", "b"], ("a", "b")),
        ("names", None, None),
        ("inner", Inner("x"), Inner("x")),
        ("inner", "x", Inner("x")),
        ("free", [1, "a"], [1, "a"]),
    ],
)
def test_values_of_a_type(key: str, value: Any, expected: Any) -> None:
    result = getattr(Sample(**{key: value}), key)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text", 3, "expected a text in quotes, got 3"),
        ("text", [3], r"expected a text, got \[3\]"),
        ("count", True, "expected a whole number from 1 to 9, got true"),
        ("count", 1.0, "expected a whole number from 1 to 9, got 1.0"),
        ("count", "3", "expected a whole number from 1 to 9, got '3'"),
        ("count", 0, "expected a whole number from 1 to 9, got 0"),
        ("count", 10, "expected a whole number from 1 to 9, got 10"),
        ("share", False, "expected a number, got false"),
        ("share", None, "expected a number, got null"),
        ("share", float("nan"), "expected a number, got nan"),
        ("flag", 0, "expected true or false, got 0"),
        ("mode", "maen", r"expected exact or mean \(did you mean mean\?\), got 'maen'"),
        ("whole", "x", "expected a whole number or null, got 'x'"),
        ("seeds", [1, True], r"expected a list of whole numbers of at least 0, got \[1, True\]"),
        ("seeds", [1, -1], r"expected a list of whole numbers of at least 0, got \[1, -1\]"),
        ("seeds", None, "expected a list of whole numbers of at least 0, got null"),
        ("seeds", {"a": 1}, "expected a list of whole numbers"),
        ("seeds", [*range(30), "x"], "expected a list of whole numbers of at least 0, got 'x'"),
        ("rates", [1, [2]], "expected a list of numbers"),
        ("names", ["a", 1], "expected a list of texts or null"),
        ("inner", 3, "expected a mapping of source, rows, got 3"),
        ("count", "x\ny" * 99, "expected a whole number from 1 to 9, got 'x.ny"),
    ],
)
def test_values_of_another_type(key: str, value: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=f"^{key}: {message}") as caught:
        Sample(**{key: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_options_are_frozen_and_described() -> None:
    options = Sample(count=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.count = 5  # type: ignore[misc]
    assert dataclasses.replace(options, seeds=[1]) == Sample(count=4, seeds=[1])
    with pytest.raises(VlalignError, match="count"):
        dataclasses.replace(options, count=0)
    assert descriptions(Sample) == {"text": "text that takes two lines", "count": "number"}


def test_subclasses_check_the_fields_of_both_classes() -> None:
    class More(Sample):
        """One field more."""

        extra: Annotated[int, Ge(1)] = 1
        """another number"""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.extra > self.count:
                raise VlalignError("extra is above count")

    assert More(extra=2, seeds=[1]).seeds == (1,)
    for values, message in (({"extra": 0}, "extra: "), ({"count": 0}, "count: "), ({"extra": 4}, "extra is above")):
        with pytest.raises(VlalignError, match=message):
            More(**values)
    assert list(descriptions(More)) == ["text", "count", "extra"]


def test_options_as_json_values() -> None:
    values = plain(Sample(seeds=[1], inner=Inner("x"), free=Path("a")))
    assert values["seeds"] == [1]
    assert values["inner"] == {"source": "x", "rows": None}
    assert values["free"] == "a"


def test_options_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("seeds: [1, 2]\nrates: 1e-3\ninner: {rows: 3}\n")
    values = read_options(Sample, path)
    assert values == {"seeds": (1, 2), "rates": (0.001,), "inner": {"rows": 3}}
    for text, message in (
        ("Cuont: 1", r"unknown key Cuont \(did you mean count\?\)"),
        ("zzz: 1", "unknown key zzz: known are text, count"),
        ("3: 1", "unknown key 3: known are"),
        ("inner: {row: 1}", r"unknown key inner\.row \(did you mean rows\?\)"),
        ("inner: {rows: 0}", r"inner\.rows: expected a whole number of at least 1 or null, got 0"),
        ("inner: 3", "inner: expected a mapping of source, rows, got 3"),
        ("count: '3'", "count: expected a whole number from 1 to 9, got '3'"),
    ):
        path.write_text(text)
        with pytest.raises(VlalignError, match=rf"study\.yaml: {message}") as caught:
            read_options(Sample, path)
        assert str(caught.value).startswith(str(tmp_path))


@keywords(Sample)
def echo(x: str, options: Sample) -> tuple[str, int]:
    """Return what is given.

    Args:
        x: a text.
        options: of the sample.

    Raises:
        VlalignError: a wrong value.
    """
    return x, options.count


def test_keywords() -> None:
    assert echo("a") == ("a", 3)
    assert echo(x="a", count=4) == ("a", 4)
    signature = inspect.signature(echo)
    assert list(signature.parameters) == ["x", *(field.name for field in dataclasses.fields(Sample))]
    assert signature.parameters["count"].default == 3
    assert signature.parameters["count"].annotation is int
    assert "        x: a text.\n        text: text that takes two lines.\n        count: number.\n\n" in (
        echo.__doc__ or ""
    )
    with pytest.raises(
        TypeError, match=r"echo\(\) got an unexpected keyword argument 'cuont' \(did you mean count\?\)"
    ):
        echo("a", cuont=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"argument 'max_samples' \(give it in data=DataSpec\(…, max_samples=…\)\)"):
        vlalign.baselines("builtin:emoji", max_samples=9)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        echo()  # type: ignore[call-arg]
    with pytest.raises(VlalignError, match="count: expected"):
        echo("a", count=0)


CHECKED = """
from tests_of_types import echo
reveal_type(echo)
echo("a", cuont=3)
echo("a", count="3")
"""


def test_keywords_for_type_checkers(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "tests_of_types.py").write_text(
        "from vlalign.config import Options, keywords\n"
        "class Sample(Options):\n    count: int = 3\n"
        "@keywords(Sample)\ndef echo(x: str, options: Sample) -> bool:\n    return True\n"
    )
    (tmp_path / "checked.py").write_text(CHECKED)
    files = [str(tmp_path / name) for name in ("checked.py", "tests_of_types.py")]
    output, _, _ = api.run([*files, vlalign.config.__file__, "--follow-imports=skip", f"--cache-dir={tmp_path}"])
    assert 'Revealed type is "def (str, *, count: int =) -> bool"' in output.replace("builtins.", "")
    assert 'Unexpected keyword argument "cuont"' in output
    assert 'incompatible type "str"; expected "int"' in output
