"""Text from outside, made safe to show: names, ids, captions, paths and answers of servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

#: characters that act on a terminal or change what a reader sees: control characters, controls of text direction,
#: invisible ones (without the joiners that emoji and several scripts need), tags, and lone surrogates
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: object, *, lines: bool = False, most: int | None = None) -> str:
    r"""Return ``text`` with every character that a reader would not see, or a terminal would obey, as its escape code.

    Args:
        text: anything; its ``str`` is shown.
        lines: keep line ends and tabs.
        most: cut the middle out of longer texts.

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
    """Return ``text`` for a page of HTML: visible and escaped; ``quote``: for values of attributes, too.

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


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _keep_lines(match: re.Match[str]) -> str:
    return match[0] if match[0] in "\n\t" else _escaped(match)
