"""The exception that users meet, and parts of its messages."""

from collections.abc import Iterable


class VlalignError(Exception):
    """A mistake that the user can correct: what is wrong, where, and what to do.

    The command line prints it as one line and exits with status 1 (``--debug`` shows the traceback).
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name or its beginning, or an empty text.

    >>> did_you_mean("capton", ["caption", "image"]), did_you_mean("smollm", ["smollm2-135m"])
    (' (did you mean caption?)', ' (did you mean smollm2-135m?)')
    """
    from difflib import get_close_matches  # only needed for mistakes

    original = {entry.lower(): entry for entry in known}
    name = name.lower()
    close = get_close_matches(name, original, n=3, cutoff=0.7)
    near = [entry for entry in original if len(name) > 2 and (entry.startswith(name) or sorted(entry) == sorted(name))]
    matches = [original[match] for match in dict.fromkeys([*close, *near])][:3]
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""


def short_line(error: BaseException | str, limit: int = 300) -> str:
    r"""Return an error's message on one line of at most `limit` characters, with its type where that alone is unclear.

    >>> short_line(KeyError("model_type")), short_line(ValueError("bad\n  size"))
    ("KeyError: 'model_type'", 'bad size')
    """
    text = " ".join(str(error).split())
    plain = isinstance(error, (OSError, ValueError, RuntimeError, VlalignError))
    if isinstance(error, BaseException) and not (text and plain):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= limit else text[: limit - 1] + "…"
