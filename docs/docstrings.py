"""What pages of the Python reference show otherwise than the source: examples as code, options as keywords."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import griffe

_DOCTEST = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*", re.MULTILINE)


class Shown(griffe.Extension):
    """Put fences around doctests, and show options of functions as the keywords that callers give."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute, and the signature of a function."""
        if isinstance(obj, griffe.Function) and any(str(mark.value).startswith("keywords(") for mark in obj.decorators):
            function = getattr(import_module(obj.module.path), obj.name)
            assert obj.docstring is not None
            obj.docstring.value = inspect.getdoc(function) or ""
            obj.parameters = griffe.Parameters(*map(_parameter, inspect.signature(function).parameters.values()))
        if obj.docstring:
            obj.docstring.value = _DOCTEST.sub(r"\n```pycon\n\g<0>\n```", obj.docstring.value)


def _parameter(parameter: inspect.Parameter) -> griffe.Parameter:
    annotation, default, empty = parameter.annotation, parameter.default, inspect.Parameter.empty
    if annotation is not empty and not isinstance(annotation, str):
        annotation = inspect.formatannotation(annotation)
    return griffe.Parameter(
        parameter.name,
        annotation=None if annotation is empty else annotation,
        kind=griffe.ParameterKind(parameter.kind.description),
        default=None if default is empty else repr(default),
    )
