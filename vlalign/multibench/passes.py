"""Forward and backward passes of a stack of encoders, without autograd: fewer and larger operations.

Values equal those of :class:`vlalign.multibench.encoder.Encoder`. S members see different samples: tokens are
[S, B, T, d]. Products with parameters are batched over S, attention over S and B. Where an encoder pools its added
token, its last layer computes that token's state alone: no other one reaches the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlalign.multibench.encoder import Stack

_EPS = 1e-5  # of the layer norms
_aten = torch.ops.aten


class Dropout:
    """Masks of dropout, each member's from a generator of its own, whoever is trained with it.

    On a CPU 16 random bits decide an entry (the probability is right to 1/131,072); torch's own masks cost more there
    than a layer's products.

    Args:
        probability: of a zero, below 1.
        seeds: of the members.
        device: where masks go.
    """

    def __init__(self, probability: float, seeds: Sequence[int], device: torch.device) -> None:
        self.device = device
        self.level = round(probability * 2**16)
        self.scale = 1 / (1 - self.level / 2**16)
        self._cpu = device.type == "cpu"
        self._bits = [np.random.Generator(np.random.SFC64(seed)) for seed in seeds] if self._cpu else []
        self.generators = [] if self._cpu else [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def masks(self, *sizes: int) -> list[Tensor]:
        """Zeros and ones [S, n] of each size n."""
        total = sum(sizes)
        if self._cpu:
            bits = np.stack([g.integers(0, 2**64, -(-total // 4), dtype=np.uint64) for g in self._bits])
            drawn = torch.from_numpy(bits.view(np.int16))
            found, start = [], 0
            for n in sizes:
                mask = torch.empty(len(bits), n)
                torch.ge(drawn[:, start : start + n], self.level - 2**15, out=mask)
                found.append(mask)
                start += n
            return found
        mask = torch.empty(len(self.generators), total, device=self.device)
        for row, generator in zip(mask, self.generators, strict=True):
            row.bernoulli_(1 / self.scale, generator=generator)
        return list(mask.split(sizes, dim=1))


@dataclass
class _Kept:
    """What a layer's forward pass keeps for its backward pass."""

    x: Tensor
    xq: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    attention: Tensor
    dropped: Tensor
    mixed: Tensor
    norm1: list[tuple[Tensor, Tensor]]
    middle: Tensor
    z1: Tensor
    hidden: Tensor
    z2: Tensor
    norm2: list[tuple[Tensor, Tensor]]
    masks: list[Tensor]


class Layer:
    """One layer of every member.

    Args:
        parameters, gradients: of the layer, [S, …] each, by their names in torch.
        scale: of the values that dropout keeps.
    """

    def __init__(self, parameters: dict[str, Tensor], gradients: dict[str, Tensor] | None, scale: float) -> None:
        self.p, self.g, self.scale = parameters, gradients or {}, scale
        self.kept: _Kept | None = None

    def forward(self, x: Tensor, padding: Tensor | None, dropout: Dropout | None, queries: int) -> Tensor:
        """States [S, B, queries, d] of the first ``queries`` tokens of x [S, B, T, d].

        ``padding`` [S·B, 1, T] is added to the attention's logits: 0, or -inf at keys that are padding.
        """
        s, b, t, d = x.shape
        flat = x.view(s, b * t, d)
        xq = flat if queries == t else x[:, :, :queries].reshape(s, b * queries, d)
        weights = self.p["self_attn.in_proj_weight"].split(d, dim=1)
        biases = self.p["self_attn.in_proj_bias"].unsqueeze(1).split(d, dim=2)
        q, k, v = (
            torch.baddbmm(bias, side, weight.mT).view(s * b, -1, d)
            for side, weight, bias in zip((xq, flat, flat), weights, biases, strict=True)
        )
        logits = q.new_empty(1, 1, 1) if padding is None else padding
        logits = torch.baddbmm(logits, q, k.mT, beta=0 if padding is None else 1, alpha=d**-0.5)
        attention = torch.softmax(logits, dim=-1)
        masks, keep, dropped = [], 1.0, attention
        if dropout is not None:
            n = b * queries
            masks, keep = dropout.masks(n * t, n * d, n * d, n * d), self.scale
            dropped = (attention.view(s, -1) * masks[0]).view_as(attention)
        mixed = torch.bmm(dropped, v).view(s, -1, d)
        out = _linear(mixed, self.p["self_attn.out_proj.weight"] * keep, self.p["self_attn.out_proj.bias"])
        z1 = torch.addcmul(xq, out, masks[1].view_as(out), value=keep) if masks else xq + out
        middle, norm1 = self._norm("norm1", z1)
        hidden = _linear(middle, self.p["linear1.weight"], self.p["linear1.bias"]).relu_()
        if masks:
            hidden.mul_(masks[2].view_as(hidden))
        out = _linear(hidden, self.p["linear2.weight"] * keep, self.p["linear2.bias"])
        z2 = torch.addcmul(middle, out, masks[3].view_as(out), value=keep) if masks else middle + out
        y, norm2 = self._norm("norm2", z2)
        if self.g:
            self.kept = _Kept(
                x, xq, q, k, v, attention, dropped, mixed, norm1, middle, z1, hidden, z2, norm2, masks
            )  # fmt: skip
        return y.view(s, b, queries, d)

    def backward(self, grad: Tensor) -> Tensor:
        """The gradient of x for that of the states of the last forward pass; fills the layer's gradients."""
        kept, self.kept = self.kept, None
        assert kept is not None
        s, b, t, d = kept.x.shape
        keep = self.scale if kept.masks else 1.0
        masks = kept.masks
        # feed-forward
        dz = self._norm_backward("norm2", grad.view(s, -1, d), kept.z2, kept.norm2)
        dout = dz * masks[3].view_as(dz) if masks else dz
        dhidden = self._linear_backward("linear2", kept.hidden, dout, keep, keep)
        dhidden = _aten.threshold_backward(dhidden, kept.hidden, 0)  # zero where ReLU or dropout made it so
        dz = dz.add_(self._linear_backward("linear1", kept.middle, dhidden))
        # attention
        dz = self._norm_backward("norm1", dz, kept.z1, kept.norm1)
        dout = dz * masks[1].view_as(dz) if masks else dz
        dmixed = self._linear_backward("self_attn.out_proj", kept.mixed, dout, keep, keep).view(s * b, -1, d)
        dv = torch.bmm(kept.dropped.mT, dmixed)
        dattention = torch.bmm(dmixed, kept.v.mT)
        if masks:
            dattention.view(s, -1).mul_(masks[0])
        dlogits = _aten._softmax_backward_data(dattention, kept.attention, -1, dattention.dtype)
        empty = dv.new_empty(1, 1, 1)
        dq = torch.baddbmm(empty, dlogits, kept.k, beta=0, alpha=d**-0.5)
        dk = torch.baddbmm(empty, dlogits.mT, kept.q, beta=0, alpha=d**-0.5)
        weights = self.p["self_attn.in_proj_weight"].split(d, dim=1)
        flat = kept.x.view(s, b * t, d)
        dx = dz if dz.shape == flat.shape else None
        for i, (side, delta, weight) in enumerate(zip((kept.xq, flat, flat), (dq, dk, dv), weights, strict=True)):
            delta = delta.view(s, -1, d)
            self.g["self_attn.in_proj_weight"][:, i * d : (i + 1) * d] = torch.bmm(delta.mT, side)
            self.g["self_attn.in_proj_bias"][:, i * d : (i + 1) * d] = delta.sum(dim=1)
            if i == 0:
                dz = dz.baddbmm_(delta, weight)
            else:
                dx = torch.bmm(delta, weight) if dx is None else dx.baddbmm_(delta, weight)
        assert dx is not None
        dx = dx.view(s, b, t, d)
        if dz.shape[1] != b * t:
            dx[:, :, : dz.shape[1] // b] += dz.view(s, b, -1, d)
        return dx

    def _linear_backward(self, name: str, x: Tensor, delta: Tensor, a: float = 1.0, c: float = 1.0) -> Tensor:
        """Gradient of x, for y = a · x Wᵀ + b whose gradient is c · ``delta``."""
        self.g[f"{name}.weight"][:] = torch.bmm(delta.mT, x).mul_(a * c)
        self.g[f"{name}.bias"][:] = delta.sum(dim=1).mul_(c)
        return torch.bmm(delta, self.p[f"{name}.weight"] * (a * c))

    def _norm(self, name: str, z: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        y, kept = torch.empty_like(z), []
        for out, one, weight, bias in zip(y, z, self.p[f"{name}.weight"], self.p[f"{name}.bias"], strict=True):
            normed, mean, rstd = torch.native_layer_norm(one, (z.shape[-1],), weight, bias, _EPS)
            out.copy_(normed)
            kept.append((mean, rstd))
        return y, kept

    def _norm_backward(self, name: str, grad: Tensor, z: Tensor, kept: list[tuple[Tensor, Tensor]]) -> Tensor:
        found = torch.empty_like(z)
        weights, biases = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        for i, (mean, rstd) in enumerate(kept):
            dz, dweight, dbias = _aten.native_layer_norm_backward(
                grad[i], z[i], (z.shape[-1],), mean, rstd, weights[i], biases[i], [True, True, True]
            )
            found[i] = dz
            self.g[f"{name}.weight"][i], self.g[f"{name}.bias"][i] = dweight, dbias
        return found


class Passes:
    """Whole passes of all members.

    Args:
        parameters: of the members.
        gradients: a stack that :meth:`backward` fills; None to run forward only.
        dropout: of training; None for evaluation.
    """

    def __init__(self, parameters: Stack, gradients: Stack | None = None, dropout: Dropout | None = None) -> None:
        self.p, self.g, self.dropout, self.shape = parameters, gradients, dropout, parameters.shape
        scale = 1.0 if dropout is None else dropout.scale
        self.layers = [
            Layer(parameters.layer(i), None if gradients is None else gradients.layer(i), scale)
            for i in range(self.shape.depth)
        ]
        self._kept: tuple[Tensor, Tensor | None, Tensor] | None = None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs [S, B, outputs] of tokens [S, B, T, features], of which the first ``lengths`` [S, B] count."""
        h, padding, weights = self._embed(x, lengths)
        for layer in self.layers[:-1]:
            h = layer.forward(h, padding, self.dropout, h.shape[2])
        h = self.layers[-1].forward(h, padding, self.dropout, 1 if self.shape.cls else h.shape[2])
        pooled = self._pool(h, weights)
        self._kept = x, weights, pooled
        return _linear(pooled, self.p["head.weight"], self.p["head.bias"])

    def states(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The pooled state [S, B, width] after each layer."""
        h, padding, weights = self._embed(x, lengths)
        found = []
        for i, layer in enumerate(self.layers):
            alone = self.shape.cls and i == self.shape.depth - 1
            h = layer.forward(h, padding, self.dropout, 1 if alone else h.shape[2])
            found.append(self._pool(h, weights))
        return found

    def backward(self, delta: Tensor) -> None:
        """Fill the gradients from that of the outputs [S, B, outputs] of the last forward pass."""
        assert self.g is not None
        assert self._kept is not None
        x, weights, pooled = self._kept
        s, b, t, features = x.shape
        self.g["head.weight"][:] = torch.bmm(delta.mT, pooled)
        self.g["head.bias"][:] = delta.sum(dim=1)
        dpooled = torch.bmm(delta, self.p["head.weight"]).unsqueeze(2)
        dh = dpooled if weights is None else weights.mT.reshape(s, b, -1, 1) * dpooled
        for layer in reversed(self.layers):
            dh = layer.backward(dh)
        first = int(self.shape.cls)
        positions = dh.sum(dim=1)
        self.g["pos_embedding"][:, 0, : first + t] = positions
        if first:
            self.g["cls_token"][:, 0] = positions[:, :1]
            dh = dh[:, :, 1:]
        dh = dh.reshape(s, b * t, -1)
        self.g["proj.weight"][:] = torch.bmm(dh.mT, x.reshape(s, b * t, features))
        self.g["proj.bias"][:] = dh.sum(dim=1)

    def _embed(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """States [S, B, T', width] before the first layer, padding of the logits, and weights [S·B, 1, T'] of tokens
        in the pooled state; None where there is no padding, and where the added token is pooled."""
        s, b, t, features = x.shape
        first, d = int(self.shape.cls), self.shape.width
        tokens = _linear(x.reshape(s, b * t, features), self.p["proj.weight"], self.p["proj.bias"]).view(s, b, t, d)
        positions = self.p["pos_embedding"][:, :, : first + t]
        h = tokens.new_empty(s, b, first + t, d)
        torch.add(tokens, positions[:, :, first:], out=h[:, :, first:])
        if first:
            h[:, :, 0] = self.p["cls_token"][:, 0] + positions[:, 0, :1]
        padding = weights = None
        if lengths is not None:
            there = torch.arange(first + t, device=x.device) < (lengths + first).reshape(s * b, 1, 1)
            padding = torch.zeros(there.shape, dtype=h.dtype, device=h.device).masked_fill_(~there, -torch.inf)
            weights = there.to(h.dtype) / lengths.reshape(s * b, 1, 1)
        if self.shape.cls:
            return h, padding, None
        if weights is None or self.shape.pool == "mean-padded":
            weights = h.new_full((s * b, 1, t), 1 / t)
        return h, padding, weights

    @staticmethod
    def _pool(h: Tensor, weights: Tensor | None) -> Tensor:
        if weights is None:
            return h[:, :, 0]
        s, b, t, d = h.shape
        return torch.bmm(weights, h.reshape(s * b, t, d)).view(s, b, d)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)
