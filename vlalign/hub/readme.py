"""The README.md of a data set of the Hub: what every push writes anew, and what its owner wrote below, which stays."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from vlalign.errors import VlalignError
from vlalign.hub.repo import Target, fetch

README = "README.md"
_LICENCE = "[A-Za-z0-9][A-Za-z0-9.+-]*"
_MARK = re.compile(rf"^<!-- vlalign (?P<digest>[0-9a-f]{{16}})(?:, license (?P<licence>{_LICENCE}))?: [^\n]*-->$", re.M)


@dataclass(frozen=True)
class Readme:
    """What stays when a card is written anew.

    Attributes:
        below: the text below the mark that a card ends in.
        licence: of the data set, as it was given now or by an earlier push; None if it never was.
    """

    below: str = ""
    licence: str | None = None

    def seal(self, card: str) -> bytes:
        """The README.md: the card, a comment with a digest of it, and what was below.

        >>> print(Readme("Mine.\\n", "mit").seal("# A card").decode(), end="")
        # A card
        <BLANKLINE>
        <!-- vlalign 5c41e0d661025935, license mit: what is above is written anew by every push; what is below stays -->
        Mine.
        """
        above = f"{card.rstrip()}\n\n"
        licence = f", license {self.licence}" if self.licence else ""
        rule = "what is above is written anew by every push; what is below stays"
        return f"{above}<!-- vlalign {_digest(above)}{licence}: {rule} -->\n{self.below}".encode()


def look_at_readme(target: Target, *, ours: bool, licence: str | None, force: bool) -> Readme:
    """What of the README.md that is there has to stay.

    Args:
        target: the data set.
        ours: vlalign pushed what is there, so that the README.md should be its card.
        licence: given for this push; without, that of an earlier one holds on.
        force: write over a card that someone edited.

    Raises:
        VlalignError: someone edited the card, and ``force`` is not set; the licence is no name of one.
    """
    if licence is not None and not re.fullmatch(_LICENCE, licence):
        raise VlalignError(f"--license {licence!r} is no licence: write it as the Hub does, such as apache-2.0")
    if README not in target.files:
        return Readme("", licence)
    text = fetch(target, [README])[README].decode("utf-8", "replace").replace("\r\n", "\n")
    mark = _MARK.search(text)
    if ours and not force:
        if mark is None:
            raise VlalignError(
                f"{README} of data set {target.repo!r} lacks the mark that vlalign sets: give --force to replace it "
                "all (and --license again), and write below the mark then"
            )
        if mark["digest"] != _digest(text[: mark.start()]):
            raise VlalignError(
                f"{README} of data set {target.repo!r} was edited above its mark <!-- vlalign … -->: move what is "
                "yours below it, where it stays (a licence belongs in --license), or give --force to replace it"
            )
    if mark is None:
        return Readme("", licence)
    return Readme(text[mark.end() :].removeprefix("\n"), licence or mark["licence"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
