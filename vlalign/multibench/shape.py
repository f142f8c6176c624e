"""Shape of an encoder, which decides its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

POOLS = ("cls", "mean", "mean-padded")
LAYER = {  # names in torch.nn.TransformerEncoderLayer, shapes in units of the width
    "self_attn.in_proj_weight": (3, 1),
    "self_attn.in_proj_bias": (3,),
    "self_attn.out_proj.weight": (1, 1),
    "self_attn.out_proj.bias": (1,),
    "linear1.weight": (1, 1),
    "linear1.bias": (1,),
    "linear2.weight": (1, 1),
    "linear2.bias": (1,),
    "norm1.weight": (1,),
    "norm1.bias": (1,),
    "norm2.weight": (1,),
    "norm2.bias": (1,),
}


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

    @cached_property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter of :class:`Encoder`, in order."""
        d = self.width
        sizes: dict[str, tuple[int, ...]] = {"proj.weight": (d, self.features), "proj.bias": (d,)}
        if self.cls:
            sizes["cls_token"] = (1, 1, d)
        sizes["pos_embedding"] = (1, self.cls + self.tokens, d)
        for i in range(self.depth):
            sizes |= {f"transformer.layers.{i}.{k}": tuple(n * d for n in size) for k, size in LAYER.items()}
        return sizes | {"head.weight": (self.outputs, d), "head.bias": (self.outputs,)}

    @cached_property
    def size(self) -> int:
        """Number of trained numbers."""
        return sum(prod(size) for size in self.parameters.values())
