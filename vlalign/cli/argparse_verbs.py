"""Verbs that still declare their flags with argparse: studies, until their options are declared as fields."""

from __future__ import annotations

import argparse
import difflib
import importlib
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from vlalign.display import visible

_LONGEST = 1500  # characters of an error


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples' line breaks and shows defaults where a flag has one worth showing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if (
            action.option_strings
            and action.nargs != 0
            and action.default not in (None, False, [], argparse.SUPPRESS)
            and "default" not in text
        ):
            text += " (default: %(default)s)"
        return text


class _Parser(argparse.ArgumentParser):
    """Errors on one line, with the names that were probably meant."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {visible(message, most=_LONGEST)} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown words here, where the flags are known that they may have been meant for."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), None)
            if flag is None:
                self.error(f"unexpected argument {unknown[0]!r}")
            name = flag.partition("=")[0]
            self.error(f"unknown flag {name}{_close(name, self._option_string_actions)}")
        return found, []

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if not arg_string.strip() and action.nargs != argparse.PARSER:  # those of a verb go to its own parser
            raise argparse.ArgumentError(action, "it is empty")
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(one) for one in action.choices]
            hint = _close(str(value), names) or f": choose from {', '.join(names)}"
            raise argparse.ArgumentError(action, f"invalid choice {value!r}{hint}")


def _close(name: str, known: Iterable[str]) -> str:
    """Return a hint at names like ``name``, or an empty text."""
    matches = difflib.get_close_matches(name[:100], list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


def parse(name: str, words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a verb."""
    module = importlib.import_module(f"vlalign.cli.{name}")
    doc = textwrap.dedent(module.__doc__ or "").strip()
    parser = _Parser(prog=f"vlalign {name}", description=doc, formatter_class=_Help, allow_abbrev=False)
    actions = module.add_arguments(parser) or []  # parsers of its actions, where a verb has several
    for each in (parser, *actions):
        flag: dict[str, Any] = {"action": "store_true", "default": False if each is parser else argparse.SUPPRESS}
        each.add_argument("--debug", help="show the traceback of errors, and debug messages", **flag)
        each.add_argument("-q", "--quiet", help="show warnings and results only", **flag)
    return parser.parse_args(words)
