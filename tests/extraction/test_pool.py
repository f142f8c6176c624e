"""Hooks that pool states, bits of texts, and the assembly of batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vlalign.errors import VlalignError
from vlalign.extraction.loss import bits_per_text
from vlalign.extraction.pool import Pooled, StatePooler, to_cpu
from vlalign.extraction.readers import _Assembly, pad_right
from vlalign.models.structure import Tap
from vlalign.store import Shard


def test_hooks_leave_nothing_behind() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    taps = [Tap("a", 4, "", "0"), Tap("b", 2, "", "1")]
    x = torch.randn(5, 3)
    with StatePooler(module, taps, lambda state, tap: [state.detach(), -state.detach()], entering=False) as pooler:
        module(x)
        pooled = pooler.collect()
    (first, second), (minus, _) = pooled.kinds
    torch.testing.assert_close(first, module[0](x).detach())
    torch.testing.assert_close(minus, -first)
    torch.testing.assert_close(second, module(x).detach())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_bits_do_not_depend_on_chunks_or_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(6, 50)
    sequences = [torch.randint(0, 50, (n,), generator=generator).tolist() for n in (1, 40, 400, 3)]
    ids, mask = pad_right(sequences)
    states = torch.randn(*ids.shape, 6, generator=generator)
    with torch.no_grad():
        bits = bits_per_text(states, ids, mask, head)
        for i, sequence in enumerate(sequences):
            logs = head(states[i, : len(sequence) - 1]).double().log_softmax(-1) / torch.log(torch.tensor(2.0).double())
            expected = -logs[torch.arange(len(sequence) - 1), torch.tensor(sequence[1:], dtype=torch.long)].sum()
            torch.testing.assert_close(bits[i], expected, rtol=1e-5, atol=1e-5)


def test_states_keep_their_order_and_values_but_not_their_memory() -> None:
    whole = torch.randn(3, 7, 5)  # a class token would keep all tokens in memory
    states = [whole[:, 0], torch.randn(3, 2), whole[:, 1, :1]]
    local, sums = to_cpu(states)
    for ours, theirs in zip(local, states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        assert ours.untyped_storage().nbytes() == 4 * 3 * 8
    torch.testing.assert_close(sums, sum(state.sum(1) for state in states))


def test_large_finite_states_whose_sum_overflows_are_kept() -> None:
    tap = Tap("block_0", 2, "", "")
    assembly = _Assembly([tap], ["a", "b"], "model")
    state, norms = torch.full((2, 2), 3e38), torch.zeros(2, 3)

    def put() -> None:
        (first, second), sums = to_cpu([state, norms])
        assert not torch.isfinite(sums).all()
        assembly.put([1, 0], Pooled([[first], [second]], sums))

    put()
    torch.testing.assert_close(assembly.shard(Shard(0, 0, 2)).features[0]["block_0"], state, rtol=0, atol=0)
    for value in ("inf", "-inf", "nan"):
        state[1, 1] = float(value)
        with pytest.raises(VlalignError, match="sample 'a' are not finite at layer block_0"):
            put()


def test_shards_of_a_group_take_their_rows_from_all_batches() -> None:
    assembly = _Assembly([Tap("a", 1, "", "")], list("abcdef"), "model")
    values = torch.arange(6.0)[:, None]
    for rows in ([4, 1], [5, 3, 0], [2]):
        local, sums = to_cpu([values[rows], values[rows].expand(-1, 3)])
        assembly.put(rows, Pooled([[local[0]], [local[1]]], sums), tokens=torch.tensor(rows))
    for shard in (Shard(1, 2, 6), Shard(0, 0, 2)):
        result, rows = assembly.shard(shard), slice(shard.start, shard.stop)
        assert result.features[0]["a"].tolist() == values[rows].tolist()
        assert result.extras["tokens"].tolist() == list(range(shard.start, shard.stop))
        assert result.norms[:, 0, 1].tolist() == values[rows, 0].tolist()
