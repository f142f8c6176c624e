"""Dispatch, logging and one-line errors for every verb."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import logging
import os
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.version import __version__

VERBS = (
    "extract",
    "score",
    "study",
    "synthetic",
    "multibench",
    "perturb",
    "metrics",
    "leaderboard",
    "compare",
    "reproduce",
    "models",
    "runs",
    "verify",
    "push",
    "pull",
    "push-results",
    "demo",
)
#: verbs that go on where they were interrupted
_RESUMED = ("extract", "score", "study", "synthetic", "multibench", "push", "pull", "demo")
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


def run_program(argv: Sequence[str] | None = None) -> int:
    """Run ``vlalign <verb> …`` and return the exit status; see :func:`vlalign.cli.main`."""
    parser = _Parser(
        prog="vlalign",
        description="How aligned are vision and language models on your data?",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vlalign {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    argv = list(sys.argv[1:] if argv is None else argv)
    if any("\0" in word for word in argv):
        parser.error("an argument holds a NUL character")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name in VERBS:
        verb = verbs.add_parser(name, formatter_class=_Help, allow_abbrev=False, **_texts(name))
        if name == chosen:  # the others are only listed, so that their libraries are not imported
            _fill(verb, name)
    arguments = parser.parse_args(argv)
    return _run(arguments.verb, arguments)


def run_single(name: str) -> int:
    """Run one verb with the arguments of this process; see :func:`vlalign.cli.run_verb`."""
    texts = _texts(name)
    parser = _Parser(
        prog=os.path.basename(sys.argv[0]) or name,
        description=texts["description"],
        formatter_class=_Help,
        allow_abbrev=False,
    )
    _fill(parser, name)
    return _run(name, parser.parse_args())


def _module(name: str) -> Any:
    return importlib.import_module(f"vlalign.cli.{name.replace('-', '_')}")


def _texts(name: str) -> dict[str, Any]:
    doc = textwrap.dedent(_module(name).__doc__ or "").strip()
    return {"help": doc.splitlines()[0].rstrip("."), "description": doc}


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    actions = _module(name).add_arguments(parser) or []  # parsers of its actions, where a verb has several
    for one in (parser, *actions):
        flag: dict[str, Any] = {"action": "store_true", "default": False if one is parser else argparse.SUPPRESS}
        one.add_argument("--debug", help="show the traceback of errors, and debug messages", **flag)
        one.add_argument("-q", "--quiet", help="show warnings and results only", **flag)


def _run(name: str, arguments: argparse.Namespace) -> int:
    _set_up_logging(arguments)
    try:
        return int(_module(name).run(arguments) or 0)
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        kept = "; what is finished is kept, the same command goes on from there" if name in _RESUMED else ""
        raise KeyboardInterrupt(f"vlalign {name}: interrupted{kept}") from None
    except BrokenPipeError:
        raise
    except Exception as error:
        if arguments.debug:
            raise
        print(f"vlalign {name}: error: {visible(_explain(error), most=_LONGEST)}", file=sys.stderr)
        return 1


def _explain(error: Exception) -> str:
    """Return what went wrong, for one line; the traceback of a fault of vlalign goes into a file that it names."""
    if isinstance(error, VlalignError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        advice = "; make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        names = [os.fsdecode(one) for one in (error.filename, error.filename2) if isinstance(one, str | bytes)]
        return f"{' and '.join(names)}{': ' if names else ''}{os.strerror(error.errno)}{advice}"
    if isinstance(error, MemoryError):
        return f"out of memory: {str(error) or 'use fewer samples or smaller batches'}"
    text = f"unexpected {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="vlalign-", suffix=".txt", delete=False, errors="replace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return f"{text}: a fault of vlalign; --debug shows the traceback, please report it"
    return f"{visible(text, most=_LONGEST // 2)}: a fault of vlalign; please report it with {file.name}"


class _Stderr(logging.Handler):
    """Log lines on standard error, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" in sys.modules:  # above a progress bar, not into it
            sys.modules["tqdm"].tqdm.write(self.format(record), file=sys.stderr)
        else:
            print(self.format(record), file=sys.stderr)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message on one line; below it the traceback, where there is one."""
        text = super().format(record)
        return visible(text, lines=True) if record.exc_info else visible(text)


def _set_up_logging(arguments: argparse.Namespace) -> None:
    main_process = os.environ.get("RANK", "0") == "0"
    level = (
        logging.DEBUG if arguments.debug else logging.WARNING if arguments.quiet or not main_process else logging.INFO
    )
    logger = logging.getLogger("vlalign")
    logger.setLevel(level)
    if not logger.handlers:
        logger.addHandler(_Stderr())
    logger.propagate = False
    if not arguments.debug:
        _quieten_libraries()


def _quieten_libraries() -> None:
    """Leaves progress and log lines to this program; the libraries' warnings stay reachable with --debug."""
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    for name in ("transformers", "timm", "datasets", "accelerate", "bitsandbytes", "huggingface_hub", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they report is raised, too
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings(
        "ignore", category=UserWarning, module=r"(torch|timm|transformers|bitsandbytes|datasets)\b.*"
    )
