"""Types of options beside those of Python: numbers and several values as YAML writes them, files, objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

T = TypeVar("T")


class Before:
    """Function applied to a value before its type is checked."""

    def __init__(self, change: Callable[[Any], Any], checked: bool = True) -> None:
        self.change = change
        self.checked = checked

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        if not self.checked:
            return core_schema.no_info_plain_validator_function(self.change)
        return core_schema.no_info_before_validator_function(self.change, handler(source))


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value if value is None else (value,)


def _as_number(value: Any) -> Any:
    is_number = isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)
    return float(value) if is_number else value


#: number with or without a point, stored as a float; also a text such as 1e-3, which YAML has no number for
Number = Annotated[float, Before(_as_number)]
#: tuple of values; a list, or one value alone, is also accepted
Many = Annotated[tuple[T, ...], Before(_as_tuple)]
#: texts that name a file and a folder
File = Annotated[str, Parameter(metavar="FILE")]
Folder = Annotated[str, Parameter(metavar="FOLDER")]
#: text on the command line, in Python also an object that the code which uses it checks; and several of them
Free = Annotated[str | None, Before(lambda value: value, checked=False)]
FreeMany = Annotated[tuple[str, ...], Before(_as_tuple, checked=False)]
