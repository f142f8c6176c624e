"""Program of all verbs: dispatch, help, settings files, logging and errors on one line.

A verb is a function ``run`` in a module of this package. Its parameters are its arguments and flags: options
(:mod:`vlalign.config`) and values of this verb alone, described in its docstring. The module's docstring is its help.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from cyclopts import App, CycloptsError, Group, Parameter, Token
from cyclopts import exceptions as errors
from cyclopts.utils import UNSET

from vlalign.config import Options, expected, read_options
from vlalign.display import visible
from vlalign.errors import VlalignError, did_you_mean

if TYPE_CHECKING:
    from cyclopts.argument import ArgumentCollection

VERBS = (
    "extract", "import", "baselines", "score", "study", "synthetic", "multibench", "advise", "perturb", "metrics",
    "leaderboard", "compare", "probe", "information", "reproduce", "models", "runs", "verify", "push", "pull",
    "push-results", "demo",
)  # fmt: skip
_MODULES = {"import": "import_embeddings"}  # whose names Python does not allow
#: verbs whose command continues where it was interrupted
_RESUMED = (
    "extract", "baselines", "score", "study", "synthetic", "multibench", "advise", "probe", "push", "pull", "demo",
)  # fmt: skip
_LONGEST = 1500  # characters of an error
_WHOLE = re.compile(r"[-+]?\d+")

#: options of one class, each a flag
Flags = Parameter(name="*")
#: parameter of a verb that is true where only warnings and results are shown
Quiet = Annotated[bool, Parameter(parse=False)]
#: help of a settings file
FROM_FILE = Parameter(help="YAML settings, named like the flags; flags override the file")
_EVERY_VERB = Parameter(group=Group("Every verb", sort_key=99))


def program() -> App:
    """Return the program; modules of verbs are imported when they are needed."""
    app = App(
        name="vlalign",
        help="How aligned are vision and language models on your data?",
        version=_version,
        default_parameter=Parameter(
            negative=(), json_dict=False, json_list=False, allow_repeating=True, consume_multiple=1
        ),
        config=[_check_words, _fill_from_file],
        help_format="plaintext",
        help_formatter=_Help(),
        result_action="return_value",
    )
    for i, verb in enumerate(VERBS):
        module = _MODULES.get(verb, verb.replace("-", "_"))
        doc = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8").split('"""')[1]
        app.command(f"vlalign.cli.{module}:run", name=verb, help=textwrap.dedent(doc).strip(), sort_key=i)

    @app.command(name="--install-completion", help="install completion of commands and flags for a shell")
    def install(*, shell: Literal["bash", "zsh", "fish"] | None = None) -> None:
        """Install completion.

        Args:
            shell: shell to install it for (default: this shell)
        """
        from cyclopts.completion.detect import ShellDetectionError

        try:
            path = app.install_completion(shell=shell)
        except ShellDetectionError as error:
            raise VlalignError("this shell is not known: give --shell bash, zsh or fish") from error
        startup = Path.home() / ".zshrc"  # cyclopts adds the folder to its fpath
        is_plain_zsh = path.parent == Path.home() / ".zsh" / "completions"
        if is_plain_zsh and "compinit" not in startup.read_text(errors="replace"):
            with startup.open("a") as file:
                file.write("autoload -Uz compinit && compinit\n")
        print(f"installed {path}: start a new shell to use it")

    @app.meta.default
    def launch(
        *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        debug: Annotated[bool, _EVERY_VERB] = False,
        quiet: Annotated[bool, _EVERY_VERB, Parameter(alias="-q")] = False,
    ) -> int:
        """Run a verb.

        Args:
            debug: show the traceback of errors, and debug messages
            quiet: show warnings and results only
        """
        return _run(app, list(words), debug=debug, quiet=quiet)

    return app


def _version() -> str:
    from vlalign.version import __version__  # slow to find

    return f"vlalign {__version__}"


def run_program(words: Sequence[str]) -> int:
    """Run ``vlalign <verb> …`` and return the exit status; see :func:`vlalign.cli.main`."""
    app = program()
    try:
        command, bound, _ = app.meta.parse_args(list(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _exit("vlalign", _problem(error))
    return int(command(*bound.args, **bound.kwargs) or 0)


def _run(app: App, words: list[str], *, debug: bool, quiet: bool) -> int:
    """Run the verb that the words name."""
    if not words:
        _exit("vlalign", "required: verb")
    name = words[0] if words[0] in VERBS else ""

    def run() -> int:
        try:
            names, apps, rest = app.parse_commands(words)
            function = apps[-1].default_command
            if not rest and function is None:
                _exit(" ".join(["vlalign", *names]), "required: action")
            if function is None or any(map(_is_checked, get_type_hints(function, include_extras=True).values())):
                import pydantic  # noqa: F401  # slow; cyclopts checks ranges with it if it is loaded
            command, bound, ignored = app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            _exit(" ".join(["vlalign", *(error.command_chain or [name])]).strip(), _problem(error))
        except VlalignError as error:  # values that contradict each other, or a settings file
            if debug:
                raise
            _exit(" ".join(["vlalign", *names]), str(error))
        more = {"quiet": quiet} if "quiet" in ignored else {}
        return command(*bound.args, **bound.kwargs, **more)

    return _guarded(name, run, debug=debug, quiet=quiet)


def _is_checked(hint: Any) -> bool:
    """Return whether values of an annotation have more to check than their type: options, or a range."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return _is_checked(inner) or not all(isinstance(mark, Parameter) for mark in marks)
    return (isinstance(hint, type) and issubclass(hint, Options)) or any(map(_is_checked, get_args(hint)))


def _guarded(name: str, run: Callable[[], int | None], *, debug: bool, quiet: bool) -> int:
    """Return the exit status of a verb; its errors are shown on one line."""
    _set_up_logging(debug, quiet)
    title = f"vlalign {name}".strip()
    try:
        return int(run() or 0)
    except KeyboardInterrupt:
        if debug:
            raise
        kept = "; what is finished is kept, the same command continues from it" if name in _RESUMED else ""
        raise KeyboardInterrupt(f"{title}: interrupted{kept}") from None
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        print(f"{title}: error: {visible(_explain(error), most=_LONGEST)}", file=sys.stderr)
        return 1


def _exit(title: str, problem: str) -> NoReturn:
    """End with a mistake in the command line, on one line of standard error."""
    print(f"{title}: error: {visible(problem, most=_LONGEST)} (see {title} --help)", file=sys.stderr)
    raise SystemExit(2)


def _problem(error: CycloptsError) -> str:
    """Return what is wrong in a command line."""
    words = error.unused_tokens or [""]
    if isinstance(error, errors.UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        known = [flag for argument in error.argument_collection if argument.parse for flag in argument.names]
        return f"unknown flag {name}{did_you_mean(name[:100], [*known, '--debug', '--quiet', '--help'])}"
    if isinstance(error, errors.UnknownCommandError):
        if words[0].startswith("-"):
            return f"unknown flag {words[0]}{did_you_mean(words[0][:100], ['--help', '--version', '--debug'])}"
        known = [name for name in error.app or () if not name.startswith("-")]
        return f"unknown verb {words[0]!r}{did_you_mean(words[0][:100], known) or ': choose from ' + ', '.join(known)}"
    if isinstance(error, errors.UnusedCliTokensError):
        return f"unexpected argument {words[0]!r}"
    argument = error.argument
    if argument is None:
        return str(error.msg or type(error).__name__)
    token = argument.tokens[-1] if argument.tokens else None
    name = (token and token.keyword) or getattr(error, "keyword", None) or argument.name
    name = name if name.startswith("-") else name.upper()
    if isinstance(error, errors.MissingArgumentError):
        is_after_flag = any(word.startswith("--") for word in error.root_input_tokens or ())
        more = ": arguments come before flags that take several values" if is_after_flag else ""
        return f"{name}: expected a value" if error.keyword else f"required: {name}{more}"
    token = getattr(error, "token", None) or token
    several = getattr(error, "token", None) is None and argument.tokens
    value = " ".join(one.value for one in argument.tokens) if several else "" if token is None else token.value
    hint = argument.hint
    whole = argument.field_info.annotation
    least = max((getattr(mark, "min_length", None) or 0 for mark in get_args(whole)[1:]), default=0)
    inner = get_args(hint)[0] if get_origin(hint) is tuple and len(argument.tokens) >= least else whole
    kind = expected(inner, value).removesuffix(" or null") if value.strip() else "a value"
    return f"{name}: expected {kind}, got {visible(repr(value), most=100)}"


class _Help:
    """Form of help pages: arguments before flags, prose wrapped, examples not, and defaults where they are of use."""

    several = False  # whether the page has a flag with several values

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Show one panel; descriptions are shown without the line breaks of the source."""
        from cyclopts.help import DefaultFormatter

        panel.entries.sort(key=lambda entry: not entry.required)
        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", entry.description)
            entry.description = " ".join(str(text or "").split())
            if entry.metavar and entry.positive_names:
                entry.metavar = entry.metavar.replace("STR", entry.positive_names[-1].rpartition("-")[2].upper())
                self.several |= entry.metavar.endswith("...")
            default = (entry.default or "").strip("(),").replace("'", "")
            if entry.negative_names:
                default = (entry.positive_names if default == "True" else entry.negative_names)[0]
            entry.default = None if default in ("", "True", "False", '""') else default
        if panel.title == "Every verb" and self.several:
            console.print("A flag with ... takes one value or several, and may be repeated.\n", highlight=False)
        DefaultFormatter()(console, options, panel)

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Show the usage, with arguments before flags: a flag with several values would take them."""
        before, _, arguments = str(usage).strip().partition(" [OPTIONS]")
        verb, dashes, required = before.partition(" --")
        required = re.sub(r"(\w+) STR\b", lambda match: f"{match[1]} {match[1].upper()}", required)
        console.print(f"{verb}{arguments}{dashes}{required} [OPTIONS]\n", markup=False, highlight=False)

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """Show what a verb does, and its examples, which are indented or consist of commands only."""
        text = getattr(description, "primary_renderable", description)
        for part in str(text).strip("\n").split("\n\n"):
            is_code = part.startswith(("  ", "vlalign "))
            part = textwrap.indent(textwrap.dedent(part), "  ") if is_code else textwrap.fill(part, console.width)
            console.print(f"{part}\n", soft_wrap=is_code, markup=False, highlight=False)


@dataclass(frozen=True)
class SettingsFile:
    """Mark of a flag that takes a YAML file with options of a class: ``Annotated[File | None, SettingsFile(Config)]``.

    Keys are those of the fields; flags override the file. A nested mapping gives options of a class inside.
    """

    cls: type[Options]


def _check_words(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse empty words, and words for whole numbers that are anything else; cyclopts would round them."""
    for argument in arguments:
        leaves = set(_leaves(argument.hint))
        is_whole = int in leaves and not leaves & {float, str, bool}
        for token in argument.tokens:
            if not argument.show or token.source != "cli" or token.implicit_value is not UNSET:
                continue
            if "\0" in token.value or not token.value.strip() or (is_whole and not _WHOLE.fullmatch(token.value)):
                raise errors.CoercionError(argument=argument, token=token, target_type=str)


def _leaves(hint: Any) -> list[Any]:
    """Return the types that an annotation is made of, such as int and None of ``tuple[int, ...] | None``."""
    if get_origin(hint) is Annotated:
        return _leaves(get_args(hint)[0])
    return [leaf for inner in get_args(hint) for leaf in _leaves(inner)] or [hint]


def _fill_from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give flags that are missing the values of the settings file, where the verb has one and it is given."""
    for argument in arguments:
        for mark in getattr(argument.field_info.annotation, "__metadata__", ()):
            if isinstance(mark, SettingsFile) and argument.tokens:
                path = argument.tokens[-1].value
                _fill(arguments, read_options(mark.cls, path), path)


def _fill(arguments: ArgumentCollection, values: dict[str, Any], path: str, inside: tuple[str, ...] = ()) -> None:
    from vlalign.data.spec import OF_SOURCE

    for argument in arguments:
        *above, key = argument.keys or ("",)
        if tuple(above) != inside or key not in values or argument.has_tokens or argument.children:
            continue
        argument.append(Token(keyword=key, value=str(values[key]), source=path, implicit_value=values[key]))
    for key, value in values.items():
        if not isinstance(value, dict):
            continue
        source = next((a.tokens[-1].value for a in arguments if a.keys == (*inside, key, "source") and a.tokens), None)
        if source not in (None, value.get("source")):  # the file describes another data set
            value = {name: given for name, given in value.items() if name not in OF_SOURCE}
        _fill(arguments, value, path, (*inside, key))


def _explain(error: Exception) -> str:
    """Return what went wrong, for one line; the traceback of a fault of vlalign goes into a file that it names."""
    if isinstance(error, VlalignError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        advice = "; make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        return f"{' and '.join(names)}{': ' if names else ''}{os.strerror(error.errno)}{advice}"
    if isinstance(error, MemoryError):
        return f"out of memory: {str(error) or 'use fewer samples or smaller batches'}"
    import tempfile
    import traceback

    text = f"unexpected {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="vlalign-", suffix=".txt", delete=False, errors="replace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return f"{text}: a fault of vlalign; --debug shows the traceback, please report it"
    return f"{visible(text, most=_LONGEST // 2)}: a fault of vlalign; please report it with {file.name}"


class _Stderr(logging.Handler):
    """Log lines on the current standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" in sys.modules:  # above a progress bar, not into it
            sys.modules["tqdm"].tqdm.write(self.format(record), file=sys.stderr)
        else:
            print(self.format(record), file=sys.stderr)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message on one line; below it the traceback, if any."""
        text = super().format(record)
        return visible(text, lines=True) if record.exc_info else visible(text)


def _set_up_logging(debug: bool, quiet: bool) -> None:
    main_process = os.environ.get("RANK", "0") == "0"
    level = logging.DEBUG if debug else logging.WARNING if quiet or not main_process else logging.INFO
    logger = logging.getLogger("vlalign")
    logger.setLevel(level)
    if not logger.handlers:
        logger.addHandler(_Stderr())
    logger.propagate = False
    if not debug:
        _quieten_libraries()


def _quieten_libraries() -> None:
    """Leave progress and log lines to this program; the libraries' warnings stay reachable with --debug."""
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
