"""Text of p-values, intervals, numbers, durations, sizes and plurals: the same on consoles, in figures and on pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"  # for a missing value
_SMALLEST_P = 0.001  # shown for p-values that rest on the tail of a fitted distribution


def size(count: float) -> str:
    """Return a number of bytes with its unit.

    >>> size(3_500_000_000)
    '3.5 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Return a duration in the units that fit it.

    >>> duration(0.25), duration(12), duration(150), duration(9000)
    ('0.2 s', '12 s', '2 min 30 s', '2 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def durations(seconds: Mapping[str, float]) -> str:
    """Return the stages with their durations.

    >>> durations({"load": 0.25, "score": 12})
    'load 0.2 s, score 12 s'
    """
    return ", ".join(f"{stage} {duration(value)}" for stage, value in seconds.items())


def count(number: int | None) -> str:
    """Return a number of parameters in millions or billions.

    >>> count(134_515_008), count(6_738_415_616), count(None)
    ('135 M', '6.74 B', '–')
    """
    if number is None:
        return DASH
    return f"{number / 1e9:.3g} B" if number >= 1e9 else f"{number / 1e6:.3g} M"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "seed"), plural(3000, "record")
    ('1 seed', '3,000 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def truncated(captions: int) -> str:
    """Return how many captions were truncated, to follow their bits per byte.

    >>> truncated(3), truncated(0)
    (' (3 captions truncated)', '')
    """
    return f" ({plural(captions, 'caption')} truncated)" if captions else ""


def signed(value: float, digits: int = 2) -> str:
    """Return a number with a true minus, and zero without a sign.

    >>> signed(-0.987), signed(-0.001)
    ('−0.99', '0.00')
    """
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as :func:`signed` does, or a dash for None and NaN.

    >>> number(-0.5), number(None), number(float("nan"))
    ('−0.5000', '–', '–')
    """
    return DASH if value is None or value != value else signed(value, digits)


def interval(low: float | None, high: float | None, digits: int = 4, between: str = " – ") -> str:
    """Return an interval, or a dash for a missing one.

    >>> interval(0.1, 0.2, 2), interval(-0.1, 0.2, 2, " to "), interval(None, None)
    ('0.10 – 0.20', '−0.10 to 0.20', '–')
    """
    return DASH if low is None or high is None else f"{signed(low, digits)}{between}{signed(high, digits)}"


def span(values: Sequence[float], digits: int) -> str:
    """Return the smallest and the largest of the values.

    >>> span([0.5, -0.25, 1], 2)
    '−0.25 to 1.00'
    """
    return interval(min(values), max(values), digits, " to ")


def ranges(numbers: Sequence[int], between: str = " to ") -> str:
    """Return whole numbers, three or more consecutive ones as a range.

    >>> ranges([0, 1, 2, 3]), ranges([0, 2, 3, 4, 8]), ranges([1, 2, 3, 10], "–")
    ('0 to 3', '0, 2 to 4, 8', '1–3, 10')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}{between}{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def p_text(p: float | None, smallest: float = 0.0) -> str:
    """Return a p- or q-value with two digits; with its sign where it is the smallest possible one.

    A p-value of 1/(K+1) from K permutations shows only that none of them reached the observed value. Others come from
    the tail of a distribution that was fitted to few values, such as Student's t over 50 cuts into halves: below 0.001
    they rest on the assumed shape of that tail alone, and are shown as ``< 0.001``.

    Args:
        p: the value.
        smallest: that random permutations could give; 0 for other procedures.

    >>> p_text(0.0123), p_text(0.001, 1 / 1000), p_text(3e-18), p_text(None)
    ('0.012', '≤ 0.001', '< 0.001', '–')
    """
    if p is None:
        return DASH
    if not smallest and p < _SMALLEST_P:
        return f"< {_SMALLEST_P:g}"
    return f"{'≤ ' if p <= smallest * (1 + 1e-6) else ''}{p:.2g}"


def p_equation(text: str, name: str = "p") -> str:
    """Return the result of :func:`p_text` as an equation.

    >>> p_equation("0.02"), p_equation("≤ 0.001")
    ('p = 0.02', 'p ≤ 0.001')
    """
    return f"{name} {text}" if text.startswith(("≤", "<")) else f"{name} = {text}"


def coefficient(value: float) -> str:
    """Return a correlation with two digits, or three where two would round to 1.

    >>> coefficient(-0.997), coefficient(-1.0), coefficient(-0.001)
    ('−0.997', '−1.00', '0.00')
    """
    return signed(value, 3 if 0.995 <= abs(value) < 0.9995 else 2)


#: words of metric names that are not spelt in lower case
_SPELLINGS = {"knn": "kNN", "rnx": "RNX"} | {
    name: name.upper() for name in ("cka", "cknna", "cmd", "lcs", "rsa", "svcca", "pwcca")
}


def metric_title(metric: str) -> str:
    """Return a metric as axes and pages name it.

    >>> metric_title("mutual_knn:k=100"), metric_title("unbiased_cka")
    ('mutual kNN, k = 100', 'unbiased CKA')
    """
    name, _, params = metric.partition(":")
    words = " ".join(_SPELLINGS.get(word, word) for word in name.split("_"))
    return words + (f", {params.replace(',', ', ').replace('=', ' = ')}" if params else "")


def last_run(trained: int, seconds: Mapping[str, float], environment: Mapping[str, Any]) -> str:
    """Return what the last run of a study of trained encoders did, and how long it took.

    >>> last_run(0, {"train": 0.0, "align": 150}, {"threads": 2, "processes": 1})
    'all encoders were already trained, all pairs aligned in 2 min 30 s; threads: 2, processes: 1'
    """
    training = (
        f"{plural(trained, 'encoder')} trained in {duration(seconds['train'])}"
        if trained
        else "all encoders were already trained"
    )
    return (
        f"{training}, all pairs aligned in {duration(seconds['align'])}; threads: {environment.get('threads')}, "
        f"processes: {environment.get('processes')}"
    )
