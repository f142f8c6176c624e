"""Shape of an encoder, which decides its parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The shape of an encoder with its head.

    Attributes:
        features: of a token.
        tokens: at most; an encoder that pools ``cls`` adds one in front.
        width: of the residual stream and of the feed-forward layers.
        depth: number of layers.
        outputs: of the head: classes, or 1.
        pool: ``cls``: the state of the added token; ``mean``: over the tokens that are not padding; ``mean-padded``:
            over all tokens, as the released code of arXiv 2502.16282 does it.
    """

    features: int
    tokens: int
    width: int
    depth: int
    outputs: int
    pool: str = "cls"

    @property
    def cls(self) -> bool:
        """Whether there is an added token."""
        return self.pool == "cls"
