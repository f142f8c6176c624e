"""Safe display of texts from elsewhere: names, ids, captions, paths, answers of servers; shell commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

#: characters that act on a terminal or change the visible text: control characters, controls of text direction,
#: invisible ones (without the joiners that emoji and several scripts need), tags, and lone surrogates
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: object, *, lines: bool = False, most: int | None = None) -> str:
    r"""Return ``text`` with every invisible character, and every one that acts on a terminal, as its escape code.

    Args:
        text: any object; its ``str`` is shown.
        lines: keep line ends and tabs.
        most: longest text; longer ones lose their middle.

    Example:
        >>> print(visible("a\x1b]0;b\x07\u202ec\ud800"), visible("one\ntwo"))
        a\x1b]0;b\x07\u202ec\ud800 one\ntwo
        >>> visible("x" * 50, most=21)
        'xxxxxxxxxx…xxxxxxxxxx'
    """
    shown = _HIDDEN.sub(_keep_lines if lines else _escaped, str(text))
    if most is not None and len(shown) > most:
        shown = f"{shown[: most // 2]}…{shown[len(shown) - (most - 1) // 2 :]}"
    return shown


def html_text(text: object, quote: bool = True) -> str:
    """Return ``text`` for HTML: visible and escaped; ``quote``: for values of attributes, too.

    >>> html_text("<b>&\\u202e")
    '&lt;b&gt;&amp;\\\\u202e'
    """
    return escape(visible(text, lines=True), quote=quote)


def quoted(value: object, limit: int = 100) -> str:
    """Return an outside value for a message: as Python writes it, so without control characters, its middle cut out.

    >>> quoted("x" * 1000, 12)
    "'xxxxx…xxxx'"
    """
    text = repr(f"{value[:limit]}{value[-limit:]}" if isinstance(value, str) and len(value) > 2 * limit else value)
    return visible(text, most=limit)


def some(names: Sequence[str]) -> str:
    """Return the first names for a message.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(map(quoted, names[:3])) + more


def command_line(*words: str, **flags: Any) -> str:
    """Return a ``vlalign`` command for a shell, with the flags that have a value.

    Flags that are None, False or empty are left out, True is the flag alone, a tuple follows its flag, and a list
    repeats it.

    >>> command_line("push", "features", repo="a/b", model=["x y", "z"], license=None, seeds=(1, 2), dry_run=True)
    "vlalign push features --repo a/b --model 'x y' --model z --seeds 1 2 --dry-run"
    """
    line = ["vlalign", *map(str, words)]
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            line.append(flag)
        elif isinstance(value, list):
            line += [word for one in value for word in (flag, str(one))]
        elif value is not None and value is not False and value not in ("", ()):
            line += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(line)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _keep_lines(match: re.Match[str]) -> str:
    return match[0] if match[0] in "\n\t" else _escaped(match)
