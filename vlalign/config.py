"""Options: declared once, as fields of a frozen dataclass, and read strictly from YAML files.

Declare an option as one field: its type, range, choices and default, and the string under it that describes it::

    class ScoreOptions(Options):
        \"""Options of a score.\"""

        k: Annotated[int, Ge(1)] = 10
        \"""neighbours, for metrics that have them\"""

        data: Annotated[DataSpec, Parameter(name="*")] = DataSpec()
        \"""data set and its columns\"""

The keyword (:func:`keywords`), the YAML key (:func:`read_options`), the flag and its help (:mod:`vlalign.cli`), the
error and the stored settings (:func:`plain`) follow from the field. Ranges are those of ``annotated_types`` (``Ge``,
``Gt``, ``Le``, ``Lt``, ``Interval``, ``MinLen``), choices are a ``Literal``; types are strict: true is no number and
"3" no whole number. Checks of several fields, and values that follow from others, belong into ``__post_init__`` after
``super().__post_init__()``. A flag that is not named like its field has ``cyclopts.Parameter(name="--model")``.

In help, the placeholder of a text is the last word of its flag, unless the type is ``File``, ``Folder`` or
``Annotated[str, Parameter(metavar="RUN")]``. The group of a flag is that of its class, as in
``class DataSpec(Options, group=Group("Data"))``, unless the field has ``Parameter(group=…)``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, dataclass_transform, overload

from cyclopts import Group, Parameter

from vlalign.display import visible
from vlalign.errors import VlalignError, did_you_mean
from vlalign.option_types import Before, File, Folder, Free, FreeMany, Many, Number
from vlalign.paths import user_path
from vlalign.yaml_files import read_yaml, shown, yaml_text

__all__ = [
    "File", "Folder", "Free", "FreeMany", "Many", "Number", "Options", "check_keys", "check_values", "command_words",
    "descriptions", "expected", "keywords", "plain", "read_options", "read_yaml", "select", "shown", "yaml_text",
]  # fmt: skip

T = TypeVar("T")
O = TypeVar("O", covariant=True)  # noqa: E741
R = TypeVar("R")
X = TypeVar("X")
Y = TypeVar("Y")
Z = TypeVar("Z")
P = ParamSpec("P")


def _cached(function: Callable[[Any], T]) -> Callable[[Any], T]:
    return functools.cache(function)  # which takes classes to be unhashable


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
class Options:
    """Base of option classes: each subclass becomes a frozen dataclass with keyword-only fields, checked when made.

    Raises (when an instance is made):
        VlalignError: a value is not of its field's type or range.
    """

    if typing.TYPE_CHECKING:
        __dataclass_fields__: typing.ClassVar[dict[str, Any]]

    def __init_subclass__(cls, group: Group | None = None) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        with contextlib.suppress(NameError):  # a class inside a function
            hints = typing.get_type_hints(cls, include_extras=True)  # of bases elsewhere, too
            cls.__init__.__annotations__ = hints
            for name in cls.__annotations__ if group else ():
                marks = getattr(hints[name], "__metadata__", ())
                cls.__annotations__[name] = Annotated[(_unmarked(hints[name]), Parameter(group=group), *marks)]

    def __post_init__(self) -> None:
        fields = dataclasses.fields(self)
        given = {f.name: getattr(self, f.name) for f in fields if getattr(self, f.name) is not f.default}
        for name, value in (check_values(type(self), given) if given else {}).items():
            object.__setattr__(self, name, value)


def check_values(cls: type[Options], values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return values of some fields of ``cls``, converted to their types: lists to tuples, numbers to floats.

    Args:
        cls: class of options.
        values: by field names.
        where: start of an error, such as ``grid.yaml: ``.

    Raises:
        VlalignError: a value is not of its field's type or range.
    """
    from pydantic import ValidationError

    try:
        model = _model(cls).model_validate({name: _native(value, _hints(cls)[name]) for name, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name, *inner = first["loc"]
        hint = _hints(cls)[str(name)]
        value = values[str(name)]
        if len(inner) == 1 and isinstance(value, list | tuple) and isinstance(inner[0], int):
            value = value[inner[0]] if len(value) > 20 else value
        raise VlalignError(f"{where}{name}: expected {expected(hint, value)}, got {shown(value)}") from None
    return {name: getattr(model, name) for name in values}


def _native(value: Any, hint: Any) -> Any:
    """Return a NumPy number as one of Python, and options given as a mapping, or as a text for their first field."""
    if isinstance(value, str | dict) and _is_options(kind := _unmarked(hint)):
        return kind(**value) if isinstance(value, dict) else kind(value)
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


@_cached
def _model(cls: Any) -> Any:
    """Return a strict pydantic model with the fields of a class, all optional."""
    from pydantic import ConfigDict, create_model

    config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False, protected_namespaces=())
    fields: dict[str, Any] = {name: (hint, None) for name, hint in _hints(cls).items()}
    return create_model(cls.__name__, __config__=config, **fields)


@_cached
def _hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a class, with their ranges."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


_NAMES = {
    str: ("a text", "texts"), int: ("a whole number", "whole numbers"), float: ("a number", "numbers"),
    bool: ("true or false", "values true or false"), Any: ("a value", "values"),
}  # fmt: skip


def expected(hint: Any, value: Any = None) -> str:
    """Describe the values of an annotation, with a hint at the choice that ``value`` may have meant.

    >>> from annotated_types import Interval
    >>> expected(Annotated[int, Interval(ge=1, le=9)] | None)
    'a whole number from 1 to 9 or null'
    >>> expected(Literal["exact", "mean"], "maen")
    'exact or mean (did you mean mean?)'
    """
    kinds = [kind for kind in _alternatives(hint) if kind is not type(None)]
    texts = list(dict.fromkeys(_kind(kind, 0, value) for kind in kinds))
    texts += ["null"] * (len(kinds) < len(_alternatives(hint)))
    if str in map(_unmarked, kinds) and isinstance(value, int | float):
        texts[0] += " in quotes"
    return " or ".join(texts)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    union = _unmarked(hint)
    return typing.get_args(union) if typing.get_origin(union) in (typing.Union, types.UnionType) else (hint,)


def _kind(hint: Any, number: int, value: Any) -> str:
    """Describe one kind of values; ``number``: 0 for the singular, 1 for the plural."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _kind(arguments[0], number, value) + _range(arguments[1:])
    if origin is Literal:
        return _or(arguments) + (did_you_mean(value[:100], map(str, arguments)) if isinstance(value, str) else "")
    if origin is tuple:
        return "a list of " + " or ".join(_kind(inner, 1, value) for inner in _alternatives(arguments[0]))
    if _is_options(hint):
        return f"a mapping of {', '.join(_hints(hint))}"
    return _NAMES[hint][number] if hint in _NAMES else getattr(hint, "__name__", str(hint))


def _range(marks: Iterable[Any]) -> str:
    """Describe the range that marks of ``annotated_types`` give."""
    known = ("ge", "gt", "le", "lt", "min_length")
    bounds = {name: getattr(mark, name) for mark in marks for name in known if getattr(mark, name, None) is not None}
    if {"ge", "le"} <= set(bounds):
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    limits = [f" {words[name]} {bound}" for name, bound in bounds.items() if name in words]
    return " and".join(limits) + (f", {bounds['min_length']} or more" if "min_length" in bounds else "")


def _or(names: Iterable[Any]) -> str:
    *first, last = map(str, names)
    return f"{', '.join(first)} or {last}" if first else last


@_cached
def descriptions(cls: Any) -> dict[str, str]:
    """Return the description of each field of a class: the string under it."""
    from docstring_parser import parse_from_object

    parsed = [entry for base in reversed(cls.__mro__[:-2]) for entry in parse_from_object(base).params]
    return {entry.arg_name: " ".join((entry.description or "").split()) for entry in parsed}


def plain(value: Any) -> Any:
    """Return options, or a value of one, as JSON values: mappings, lists, texts, numbers, booleans and null.

    >>> plain({"seeds": (1, 2), "out": Path("results")})
    {'seeds': [1, 2], 'out': 'results'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def select(given: Any, cls: type[T], **more: Any) -> T:
    """Return the options of ``cls`` that ``given`` has, others at their defaults; ``more`` overrides both.

    >>> class Wide(Options):
    ...     b: int = 2
    >>> class Narrow(Options):
    ...     b: int = 0
    >>> select(Wide(b=3), Narrow)
    Narrow(b=3)
    """
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: getattr(given, name) for name in names if hasattr(given, name)} | more)


def command_words(given: Options, skip: Iterable[str] = ()) -> list[str]:
    """Return the flags that give the options which differ from their defaults, for a command line.

    Args:
        given: options; those of options inside them are included.
        skip: fields to leave out, also inside.
    """
    words = []
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        if field.name in skip or value == field.default:
            continue
        if isinstance(value, Options):
            words += command_words(value, skip)
            continue
        name, negative = _flag(_hints(type(given))[field.name], f"--{field.name.replace('_', '-')}")
        if isinstance(value, bool):
            words.append(name if value else negative)
        else:
            texts = [str(entry) for entry in (value if isinstance(value, tuple) else (value,))]
            words += [word for text in texts for word in (name, text)]
    return words


def _flag(hint: Any, name: str) -> tuple[str, str]:
    """Return the flag of a field, by default ``name``, and that of its negation."""
    marks = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Parameter)]
    names = [flag for mark in marks for flag in mark.name or () if flag.startswith("--")]
    return names[0] if names else name, f"--no-{name.removeprefix('--')}"


def read_options(cls: type[Options], path: str | Path) -> dict[str, Any]:
    """Return the options that a YAML file gives, by field names; a part of them is enough.

    A field that holds options of another class is a nested mapping in the file and in the result; a text in the file
    gives the first of these options.

    Raises:
        VlalignError: the file is missing or no valid YAML, or a key is unknown or has a value of the wrong type.
    """
    return check_keys(cls, read_yaml(path), user_path(path))


def check_keys(cls: type[Options], values: Mapping[Any, Any], path: Path, inside: str = "") -> dict[str, Any]:
    """Return values of a file as :func:`read_options` does; ``inside``: keys above them, such as ``data.``."""
    hints = _hints(cls)
    parts = _parts(hints)
    for key in values:
        if key not in hints:
            name = str(key)[:100].replace("-", "_")  # as a flag spells it
            places = {entry: f"{part}.{entry}" for part, kind in parts.items() for entry in _hints(kind)}
            place = places.get(name, name)
            known = did_you_mean(place, [place] if name in places else [*hints, *places.values()])
            known = known or f": known are {', '.join(hints)}"
            raise VlalignError(f"{path}: unknown key {inside}{visible(key, most=80)}{known}")
    nested = {key: parts[key] for key, value in values.items() if key in parts and isinstance(value, dict | str)}
    first = {key: dataclasses.fields(kind)[0].name for key, kind in nested.items()}
    values = {key: {first[key]: v} if key in nested and isinstance(v, str) else v for key, v in values.items()}
    flat = check_values(cls, {key: value for key, value in values.items() if key not in nested}, f"{path}: {inside}")
    return {
        key: check_keys(nested[key], value, path, f"{inside}{key}.") if key in nested else flat[key]
        for key, value in values.items()
    }


def _parts(hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that hold options of another class, and these classes."""
    return {name: _unmarked(hint) for name, hint in hints.items() if _is_options(_unmarked(hint))}


def _is_options(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Options)


def _unmarked(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


class _Decorator(Protocol[P, O]):
    """Makes the last parameter of a function, its options, keywords; at most three parameters stand before it.

    With ``*positional`` parameters before it, types of the call are not checked.
    """

    @overload
    def __call__(self, function: Callable[[O], R], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[[X, O], R], /) -> Callable[Concatenate[X, P], R]: ...
    @overload
    def __call__(self, function: Callable[[X, Y, O], R], /) -> Callable[Concatenate[X, Y, P], R]: ...
    @overload
    def __call__(self, function: Callable[[X, Y, Z, O], R], /) -> Callable[Concatenate[X, Y, Z, P], R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> Callable[..., R]: ...
    def __call__(self, function: Any, /) -> Any: ...


def keywords(cls: Callable[P, O]) -> _Decorator[P, O]:
    """Let a function that takes options as its last parameter take each of them as a keyword.

    Type checkers, :func:`inspect.signature` and the docstring show the fields of ``cls``: in the docstring, they
    replace the line of ``Args:`` that describes the parameter ``options``.

    >>> class Greeting(Options):
    ...     times: int = 1
    ...     loud: bool = False
    >>> @keywords(Greeting)
    ... def greet(name: str, options: Greeting) -> str:
    ...     text = f"hello {name} " * options.times
    ...     return text.upper() if options.loud else text
    >>> greet("you", times=2)
    'hello you hello you '
    >>> greet("you", times=0.5)
    Traceback (most recent call last):
    ...
    vlalign.errors.VlalignError: times: expected a whole number, got 0.5
    """

    def decorate(function: Any) -> Any:
        *own, last = inspect.signature(function).parameters.values()
        fields = [field.replace(annotation=hints[field.name]) for field in inspect.signature(cls).parameters.values()]
        public = inspect.signature(function).replace(parameters=[*own, *fields])

        @functools.wraps(function)
        def call(*positional: Any, **named: Any) -> Any:
            for name in named:
                if name not in public.parameters:
                    hint = _inside(cls, name) or did_you_mean(name, public.parameters)
                    raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")
            bound = public.bind(*positional, **named)
            given = {field.name: bound.arguments.pop(field.name) for field in fields if field.name in bound.arguments}
            return function(*bound.args, **bound.kwargs, **{last.name: cls(**given)})  # type: ignore[call-arg]

        call.__signature__ = public  # type: ignore[attr-defined]
        texts = {field.name: descriptions(cls)[field.name] for field in fields if field.name in descriptions(cls)}
        call.__doc__ = _documented(function.__doc__ or "", last.name, texts)
        return call

    hints = typing.get_type_hints(cls)
    for name, hint in _hints(cls).items():
        if any(isinstance(mark, Before) and not mark.checked for mark in getattr(hint, "__metadata__", ())):
            hints[name] = inspect.Parameter.empty
    return decorate


def _inside(cls: Any, name: str) -> str:
    """Return a hint at the field of ``cls`` that holds options with the field ``name``, if there is one."""
    held = [(field, _unmarked(kind)) for field, hint in _hints(cls).items() for kind in _alternatives(hint)]
    held = [(field, kind) for field, kind in held if _is_options(kind) and name in _hints(kind)]
    return "".join(f" (give it in {field}={kind.__name__}(…, {name}=…))" for field, kind in held[:1])


def _documented(doc: str, name: str, fields: Mapping[str, str]) -> str:
    """Replace the line of ``Args:`` that describes a parameter by one line for each field."""

    def lines(match: re.Match[str]) -> str:
        texts = (f"{field}: {text}{'' if text.endswith('.') else '.'}" for field, text in fields.items())
        return "".join(
            textwrap.fill(text, 120, initial_indent=match[1], subsequent_indent=f"{match[1]}    ") + "\n"
            for text in texts
        )

    return re.sub(rf"^( +){name}: .*\n", lines, doc, count=1, flags=re.MULTILINE)
