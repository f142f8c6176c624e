"""README.md of a data set of the Hub: a card that every push rewrites, and the owner's text below it, which is kept."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass

from vlalign.display import some
from vlalign.errors import VlalignError
from vlalign.hub.repo import Target, fetch

log = logging.getLogger(__name__)

README = "README.md"
#: files of others that a repository may hold
_HARMLESS = {".gitattributes"}
_LICENCE = "[A-Za-z0-9][A-Za-z0-9.+-]*"
_MARK = re.compile(rf"^<!-- vlalign (?P<digest>[0-9a-f]{{16}})(?:, license (?P<licence>{_LICENCE}))?: [^\n]*-->$", re.M)


@dataclass(frozen=True)
class Readme:
    """Parts of a README.md that are kept when its card is rewritten.

    Attributes:
        below: the text below the mark that a card ends in.
        licence: of the data set, given with this push or an earlier one; None if it never was.
    """

    below: str = ""
    licence: str | None = None

    def seal(self, card: str) -> bytes:
        """Return the README.md: the card, a comment with a digest of it, and the text below.

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


def read_readme(target: Target, own: Collection[str], *, licence: str | None, force: bool) -> Readme:
    """Refuse to mix with files of others, and return the parts of the existing README.md to keep.

    Args:
        target: the data set.
        own: files of earlier pushes; if there are any, the README.md should be a card of vlalign.
        licence: given with this push; by default that of an earlier one.
        force: overwrite an edited card, and write next to files of others.

    Raises:
        VlalignError: the card was edited or the data set holds something else, and ``force`` is not set; or the
            licence is not the name of one.
    """
    foreign = sorted(set(target.files) - set(own) - _HARMLESS - ({README} if own else set()))
    if foreign and not force:
        raise VlalignError(
            f"data set {target.repo!r} holds something else ({some(foreign)}): name another one, or add to it with "
            "--force, which replaces its README.md"
        )
    if foreign:
        log.warning("%s holds other files, which stay (%s); its README.md is replaced", target.repo, some(foreign))
    if licence is not None and not re.fullmatch(_LICENCE, licence):
        raise VlalignError(f"--license {licence!r} is no licence: write it as the Hub does, such as apache-2.0")
    if README not in target.files:
        return Readme("", licence)
    text = fetch(target, [README])[README].decode("utf-8", "replace").replace("\r\n", "\n")
    mark = _MARK.search(text)
    if own and not force:
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
