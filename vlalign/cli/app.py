"""Dispatch, logging and one-line errors for every verb."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

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


def main(argv: Sequence[str] | None = None) -> int:
    """``vlalign <verb> …``: returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="vlalign",
        description="How aligned are vision and language models on your data?",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vlalign {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    argv = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name in VERBS:
        verb = verbs.add_parser(name, formatter_class=_Help, allow_abbrev=False, **_texts(name))
        if name == chosen:  # the others are only listed, so that their libraries are not imported
            _fill(verb, name)
    arguments = parser.parse_args(argv)
    return _run(arguments.verb, arguments)


def run_verb(name: str, argv: Sequence[str] | None = None) -> int:
    """One verb as a program of its own (``scripts/<verb>.py``, ``python -m vlalign.cli.<verb>``)."""
    texts = _texts(name)
    parser = argparse.ArgumentParser(
        prog=os.path.basename(sys.argv[0]) or name,
        description=texts["description"],
        formatter_class=_Help,
        allow_abbrev=False,
    )
    _fill(parser, name)
    return _run(name, parser.parse_args(argv))


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
    except VlalignError as error:
        if arguments.debug:
            raise
        print(f"vlalign {name}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        print(
            f"\nvlalign {name}: interrupted; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


class _Stderr(logging.Handler):
    """Log lines on standard error, whatever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" in sys.modules:  # above a progress bar, not into it
            sys.modules["tqdm"].tqdm.write(self.format(record), file=sys.stderr)
        else:
            print(self.format(record), file=sys.stderr)


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

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    for name in ("transformers", "timm", "datasets", "accelerate", "bitsandbytes", "huggingface_hub", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings(
        "ignore", category=UserWarning, module=r"(torch|timm|transformers|bitsandbytes|datasets)\b.*"
    )
