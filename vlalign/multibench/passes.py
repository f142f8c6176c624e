"""Forward and backward passes of a stack of encoders, without autograd: fewer and larger operations.

Values equal those of :class:`vlalign.multibench.encoder.Encoder`. S members see different samples: tokens are
[S, B, T, d]. Products with parameters are batched over S, attention over S and B. Where an encoder pools its added
token, its last layer computes that token's state alone: no other one reaches the output.

Results are written into buffers that are used again: on a CPU, memory that is new costs more than what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from vlalign.multibench.encoder import Stack

_EPS = 1e-5  # of the layer norms
_aten = torch.ops.aten


class Buffers:
    """Tensors by name, made when they are first asked for and then used again, in any shape.

    Args:
        like: a tensor of their device and dtype.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._flat: dict[str, Tensor] = {}

    def get(self, name: str, *shape: int) -> Tensor:
        """The buffer of a name, with whatever is in it."""
        size = prod(shape)
        if name not in self._flat or len(self._flat[name]) < size:
            self._flat[name] = self._like.new_empty(size)
        return self._flat[name][:size].view(shape)


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
        self.level = round(probability * 2**16)
        self.scale = 1 / (1 - self.level / 2**16)
        cpu = device.type == "cpu"
        self._bits = [np.random.Generator(np.random.SFC64(seed)) for seed in seeds] if cpu else []
        self.generators = [] if cpu else [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def fill(self, *masks: Tensor) -> None:
        """Draw zeros and ones into tensors [S, …]."""
        for member, generator in enumerate(self.generators):
            for mask in masks:
                mask[member].bernoulli_(1 / self.scale, generator=generator)
        sizes = [mask[0].numel() for mask in masks]
        for member, bits in enumerate(self._bits):
            drawn = torch.from_numpy(bits.integers(0, 2**64, -(-sum(sizes) // 4), dtype=np.uint64).view(np.int16))
            for mask, part in zip(masks, drawn[: sum(sizes)].split(sizes), strict=True):
                torch.ge(part, self.level - 2**15, out=mask[member].view(-1))


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
    z1: Tensor
    norm1: list[tuple[Tensor, Tensor]]
    middle: Tensor
    hidden: Tensor
    z2: Tensor
    norm2: list[tuple[Tensor, Tensor]]
    masks: tuple[Tensor, Tensor] | None


class Layer:
    """One layer of every member.

    Args:
        parameters, gradients: of the layer, [S, …] each, by their names in torch; no gradients to run forward only.
        own: buffers of what a backward pass needs.
        shared: buffers that other layers use too.
        dropout: of training.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        gradients: dict[str, Tensor] | None,
        own: Buffers,
        shared: Buffers,
        dropout: Dropout | None = None,
    ) -> None:
        self.p, self.g = parameters, gradients
        self.own, self.shared, self.dropout = own, shared, dropout
        self.keep = 1.0 if dropout is None else dropout.scale  # of the values that dropout keeps
        self._kept: _Kept | None = None

    def forward(self, x: Tensor, padding: Tensor | None, queries: int) -> Tensor:
        """States [S, B, queries, d] of the first ``queries`` tokens of x [S, B, T, d], in a buffer of the layer.

        ``padding`` [S·B, 1, T] is added to the attention's logits: 0, or -inf at keys that are padding.
        """
        s, b, t, d = x.shape
        get, n = self.own.get, b * queries
        flat = x.view(s, b * t, d)
        xq = flat if queries == t else get("xq", s, b, queries, d).copy_(x[:, :, :queries]).view(s, n, d)
        weights = self.p["self_attn.in_proj_weight"].split(d, dim=1)
        biases = self.p["self_attn.in_proj_bias"].unsqueeze(1).split(d, dim=2)
        q, k, v = (
            torch.bmm(side, weight.mT, out=get(name, *side.shape)).add_(bias).view(s * b, -1, d)
            for name, side, weight, bias in zip("qkv", (xq, flat, flat), weights, biases, strict=True)
        )
        attention = get("attention", s * b, queries, t)
        beta, added = (0, q.new_empty(1, 1, 1)) if padding is None else (1, padding)
        torch.baddbmm(added, q, k.mT, beta=beta, alpha=d**-0.5, out=attention)
        torch.softmax(attention, dim=-1, out=attention)
        dropped, masks, middle_mask = attention, None, None
        if self.dropout is not None:
            dropped, middle_mask = get("dropped", s * b, queries, t), self.shared.get("mask", s, n, d)
            masks = get("mask1", s, n, d), get("mask2", s, n, d)
            self.dropout.fill(dropped.view(s, -1), masks[0], middle_mask, masks[1])
            dropped.mul_(attention)
        mixed = torch.bmm(dropped, v, out=get("mixed", s * b, queries, d)).view(s, n, d)
        z1 = self._residual("self_attn.out_proj", mixed, xq, masks and masks[0], get("z1", s, n, d))
        middle, norm1 = self._norm("norm1", z1)
        hidden = torch.bmm(middle, self.p["linear1.weight"].mT, out=get("hidden", s, n, d))
        hidden.add_(self.p["linear1.bias"].unsqueeze(1)).relu_()
        if middle_mask is not None:
            hidden.mul_(middle_mask)
        z2 = self._residual("linear2", hidden, middle, masks and masks[1], get("z2", s, n, d))
        y, norm2 = self._norm("norm2", z2)
        if self.g is not None:
            self._kept = _Kept(x, xq, q, k, v, attention, dropped, mixed, z1, norm1, middle, hidden, z2, norm2, masks)
        return y.view(s, b, queries, d)

    def backward(self, grad: Tensor) -> Tensor:
        """The gradient of x, in a shared buffer, for that of the states; fills the layer's gradients."""
        kept, self._kept = self._kept, None
        assert kept is not None
        s, b, t, d = kept.x.shape
        keep = self.keep
        mask1, mask2 = kept.masks or (None, None)
        # feed-forward
        dz = self._norm_backward("norm2", grad.view(s, -1, d), kept.z2, kept.norm2)
        dhidden = self._linear_backward("linear2", kept.hidden, self._masked(dz, mask2), keep, keep)
        _aten.threshold_backward.grad_input(dhidden, kept.hidden, 0, grad_input=dhidden)  # ReLU, and dropout's zeros
        dz.add_(self._linear_backward("linear1", kept.middle, dhidden))
        # attention
        dz = self._norm_backward("norm1", dz, kept.z1, kept.norm1)
        dmixed = self._linear_backward("self_attn.out_proj", kept.mixed, self._masked(dz, mask1), keep, keep)
        dq, dk, dv = self._attention_backward(kept, dmixed.view(s * b, -1, d))
        weights = self.p["self_attn.in_proj_weight"].split(d, dim=1)
        flat = kept.x.view(s, b * t, d)
        dx = dz if dz.shape == flat.shape else self.shared.get("dx", s, b * t, d).zero_()
        for i, (side, delta, weight) in enumerate(zip((kept.xq, flat, flat), (dq, dk, dv), weights, strict=True)):
            delta = delta.view(s, -1, d)
            self._write("self_attn.in_proj", slice(i * d, (i + 1) * d), torch.bmm(delta.mT, side), delta.sum(dim=1))
            (dz if i == 0 else dx).baddbmm_(delta, weight)
        dx = dx.view(s, b, t, d)
        if dz.shape[1] != b * t:
            dx[:, :, : dz.shape[1] // b] += dz.view(s, b, -1, d)
        return dx

    def _attention_backward(self, kept: _Kept, dmixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of q, k and v for that of what was mixed, [S·B, queries, d]."""
        get = self.shared.get
        dv = torch.bmm(kept.dropped.mT, dmixed, out=get("dv", *kept.v.shape))
        # of the softmax; the sums over keys of gradient × dropped value are those over d of gradient × mixed value
        sums = (dmixed * kept.mixed.view_as(dmixed)).sum(dim=2, keepdim=True)
        dlogits = torch.bmm(dmixed, kept.v.mT, out=get("dlogits", *kept.attention.shape))
        dlogits.mul_(kept.dropped).addcmul_(kept.attention, sums, value=-1)
        scale = dmixed.shape[2] ** -0.5
        none = dv.new_empty(1, 1, 1)
        dq = torch.baddbmm(none, dlogits, kept.k, beta=0, alpha=scale, out=get("dq", *kept.q.shape))
        dk = torch.baddbmm(none, dlogits.mT, kept.q, beta=0, alpha=scale, out=get("dk", *kept.k.shape))
        return dq, dk, dv

    def _residual(self, name: str, h: Tensor, x: Tensor, mask: Tensor | None, out: Tensor) -> Tensor:
        """x + dropout(keep · h Wᵀ + b); h lacks the factor of its own dropout."""
        weight, bias = self.p[f"{name}.weight"], self.p[f"{name}.bias"].unsqueeze(1)
        if mask is None:
            return torch.bmm(h, weight.mT, out=out).add_(bias).add_(x)
        y = torch.bmm(h, (weight * self.keep).mT, out=self.shared.get("y", *out.shape)).add_(bias)
        return torch.addcmul(x, y, mask, value=self.keep, out=out)

    def _masked(self, dz: Tensor, mask: Tensor | None) -> Tensor:
        return dz if mask is None else torch.mul(dz, mask, out=self.shared.get("masked", *dz.shape))

    def _linear_backward(self, name: str, x: Tensor, delta: Tensor, a: float = 1.0, c: float = 1.0) -> Tensor:
        """Gradient of x, in a shared buffer, for y = a · x Wᵀ + b whose gradient is c · ``delta``."""
        self._write(name, slice(None), torch.bmm(delta.mT, x).mul_(a * c), delta.sum(dim=1).mul_(c))
        return torch.bmm(delta, self.p[f"{name}.weight"] * (a * c), out=self.shared.get(f"{name}.dx", *x.shape))

    def _write(self, name: str, rows: slice, weight: Tensor, bias: Tensor) -> None:
        """Gradients [S, rows, d] and [S, rows] of a linear map, whose names end in weight and bias."""
        assert self.g is not None
        end = "_" if name.endswith("in_proj") else "."
        self.g[f"{name}{end}weight"][:, rows], self.g[f"{name}{end}bias"][:, rows] = weight, bias

    def _norm(self, name: str, z: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The normed values [S, n, d] in a buffer, and mean and 1/sd of each member."""
        y, kept = self.own.get(name, *z.shape), []
        for out, one, weight, bias in zip(y, z, self.p[f"{name}.weight"], self.p[f"{name}.bias"], strict=True):
            normed, mean, rstd = torch.native_layer_norm(one, (z.shape[-1],), weight, bias, _EPS)
            out.copy_(normed)
            kept.append((mean, rstd))
        return y, kept

    def _norm_backward(self, name: str, grad: Tensor, z: Tensor, kept: list[tuple[Tensor, Tensor]]) -> Tensor:
        assert self.g is not None
        found = self.shared.get(f"{name}.dz", *z.shape)
        weights, biases = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        for i, (mean, rstd) in enumerate(kept):
            found[i], self.g[f"{name}.weight"][i], self.g[f"{name}.bias"][i] = _aten.native_layer_norm_backward(
                grad[i], z[i], (z.shape[-1],), mean, rstd, weights[i], biases[i], [True, True, True]
            )
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
        self._shared = Buffers(parameters.flat)
        once = [Buffers(parameters.flat), Buffers(parameters.flat)]  # a layer reads what the one before wrote
        self.layers = [
            Layer(
                parameters.layer(i),
                None if gradients is None else gradients.layer(i),
                once[i % 2] if gradients is None else Buffers(parameters.flat),
                self._shared,
                dropout,
            )
            for i in range(self.shape.depth)
        ]
        self._kept: tuple[Tensor, Tensor | None, Tensor] | None = None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs [S, B, outputs] of tokens [S, B, T, features], of which the first ``lengths`` [S, B] count."""
        h, padding, weights = self._embed(x, lengths)
        for layer in self.layers[:-1]:
            h = layer.forward(h, padding, h.shape[2])
        h = self.layers[-1].forward(h, padding, 1 if self.shape.cls else h.shape[2])
        pooled = self._pool(h, weights)
        self._kept = x, weights, pooled
        return torch.baddbmm(self.p["head.bias"].unsqueeze(1), pooled, self.p["head.weight"].mT)

    def states(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The pooled state [S, B, width] after each layer."""
        h, padding, weights = self._embed(x, lengths)
        found = []
        for i, layer in enumerate(self.layers):
            alone = self.shape.cls and i == self.shape.depth - 1
            h = layer.forward(h, padding, 1 if alone else h.shape[2])
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
        flat, bias = x.reshape(s, b * t, features), self.p["proj.bias"].unsqueeze(1)
        tokens = torch.baddbmm(bias, flat, self.p["proj.weight"].mT, out=self._shared.get("y", s, b * t, d))
        positions = self.p["pos_embedding"][:, :, : first + t]
        h = self._shared.get("embedded", s, b, first + t, d)
        torch.add(tokens.view(s, b, t, d), positions[:, :, first:], out=h[:, :, first:])
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
            return h[:, :, 0].clone()
        s, b, t, d = h.shape
        return torch.bmm(weights, h.view(s * b, t, d)).view(s, b, d)
