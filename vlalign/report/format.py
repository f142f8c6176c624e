"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord
    from vlalign.stats import Correlation


def size(count: float) -> str:
    """Bytes for people.

    Example:
        >>> size(3_500_000_000)
        '3.5 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> duration(0.25), duration(12), duration(150), duration(9000)
        ('0.2 s', '12 s', '2 min 30 s', '2 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int | None) -> str:
    """A number of parameters for people.

    Example:
        >>> count(134_515_008), count(6_738_415_616), count(None)
        ('135 M', '6.74 B', '–')
    """
    if number is None:
        return "–"
    return f"{number / 1e9:.3g} B" if number >= 1e9 else f"{number / 1e6:.3g} M"


def truncated(captions: int) -> str:
    """How many captions were truncated, to follow their bits per byte.

    Example:
        >>> truncated(3), truncated(0)
        (' (3 captions truncated)', '')
    """
    return f" ({captions} caption{'' if captions == 1 else 's'} truncated)" if captions else ""


def signed_zero(value: float) -> float:
    """``value``, or 0 where four digits would show nothing but a sign.

    Example:
        >>> signed_zero(-1e-9), signed_zero(-0.01)
        (0.0, -0.01)
    """
    return 0.0 if abs(value) < 5e-5 else value


def signed(value: float, digits: int = 2) -> str:
    """A number with a true minus, and never with minus nought.

    >>> signed(-0.987), signed(-0.001)
    ('−0.99', '0.00')
    """
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def p_text(record: ScoreRecord) -> str:
    """The p-value; with its sign where no permutation reached the score.

    A p-value of 1/(K+1) says only that K permutations were not enough to say more.
    """
    if record.null is None or record.p_value is None:
        return "–"
    least = not record.null["stopped"] and record.p_value <= 1 / (record.null["permutations"] + 1)
    return f"{'≤ ' if least else ''}{record.p_value:.2g}"


def metric_title(metric: str) -> str:
    """A metric as axes name it.

    >>> metric_title("mutual_knn:k=100"), metric_title("unbiased_cka")
    ('mutual-knn, k=100', 'unbiased-cka')
    """
    name, _, params = metric.partition(":")
    return name.replace("_", "-") + (f", {params.replace(',', ', ')}" if params else "")


def rho_short(rho: Correlation | None) -> str:
    """ρ with its interval, or a dash."""
    return "–" if rho is None else f"{signed(rho.r)} ({signed(rho.low)} to {signed(rho.high)})"


def last_run(trained: int, seconds: Mapping[str, float], environment: Mapping[str, Any]) -> str:
    """What the last run of a study of trained encoders did, and how long it took.

    >>> last_run(0, {"train": 0.0, "align": 150}, {"threads": 2, "processes": 1})
    'all encoders were there, all pairs aligned in 2 min 30 s; threads: 2, processes: 1'
    """
    made = f"{trained} encoders trained in {duration(seconds['train'])}" if trained else "all encoders were there"
    return (
        f"{made}, all pairs aligned in {duration(seconds['align'])}; threads: {environment.get('threads')}, "
        f"processes: {environment.get('processes')}"
    )
