"""Pools against the obvious loops, a planted sink, and runs of several pools from one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TinyModels
from torch import Tensor

from vlalign.cli import main
from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction import ExtractOptions, extract
from vlalign.extraction.pools import SINK_RATIO, pool_patches, pool_tokens
from vlalign.extraction.readers import TextReader, pad_right
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.structure import Tap, layout_of
from vlalign.models.text import load_text_model
from vlalign.scoring import score
from vlalign.store import FeatureStore, Shard
from vlalign.uniqueness import UniquenessConfig

TEXT = ("mean", "mean-nosink", "mean-content", "mean-unit", "last")


def norms_of(tokens: Tensor) -> list[float]:
    return [float(token.norm()) for token in tokens]


def without_sinks(tokens: Tensor) -> Tensor:
    norms = norms_of(tokens)
    median = sorted(norms)[(len(norms) - 1) // 2]
    kept = [token for token, norm in zip(tokens, norms, strict=True) if norm <= SINK_RATIO * median]
    return torch.stack(kept).mean(0)


def measured(tokens: Tensor) -> list[float]:
    """Ratio, share and position; the shares of all tokens sum to 1."""
    norms, mean = norms_of(tokens), tokens.mean(0)
    at = int(np.argmax(norms))
    shares = [float(token @ mean) / (len(tokens) * float(mean @ mean)) for token in tokens]
    assert sum(shares) == pytest.approx(1, rel=1e-3)
    return [norms[at] / sorted(norms)[(len(norms) - 1) // 2], shares[at], at]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.sampled_from([torch.float32, torch.bfloat16]))
def test_pools_of_tokens(lengths: list[int], dtype: torch.dtype) -> None:
    _, mask = pad_right([[1] * length for length in lengths])
    states = torch.rand(*mask.shape, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    states[:, 0] *= 100
    states = states.to(dtype)
    *pooled, norms = pool_tokens(states, mask, TEXT, (1, 1))
    texts = [states[i, :length].float() for i, length in enumerate(lengths)]
    slow: dict[str, Any] = {
        "mean": lambda text: text.mean(0),
        "mean-nosink": without_sinks,
        "mean-content": lambda text: (text[1:-1] if len(text) > 2 else text).mean(0),
        "mean-unit": lambda text: torch.nn.functional.normalize(text, dim=1).mean(0),
        "last": lambda text: text[-1],
    }
    for name, vectors in zip(TEXT, pooled, strict=True):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors, torch.stack([slow[name](text) for text in texts]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norms, torch.tensor([measured(text) for text in texts]), rtol=1e-3, atol=1e-5)


def test_a_text_of_two_tokens_loses_its_sink_and_one_of_one_token_keeps_it() -> None:
    states = torch.ones(2, 2, 3)
    states[:, 0] *= 50
    (pooled, norms) = pool_tokens(states, torch.tensor([[True, True], [True, False]]), ["mean-nosink"])
    assert pooled[:, 0].tolist() == [1, 50]
    assert norms[:, 0].tolist() == [50, 1]


def test_the_mean_is_the_same_in_every_bit_beside_other_pools() -> None:
    states, mask = torch.randn(4, 9, 33), torch.ones(4, 9, dtype=torch.bool)
    alone, *_ = pool_tokens(states, mask, ["mean"])
    beside = pool_tokens(states, mask, TEXT)[0]
    assert torch.equal(alone, beside)


@pytest.mark.parametrize("last", [False, True])
def test_maps_are_averaged_in_either_layout(last: bool) -> None:
    values = torch.rand(2, 5, 3, 4) + 0.1
    values[0, :, 1, 2] *= 40
    tap = Tap("stage_0", 5, "", "")
    patches = values.flatten(2).transpose(1, 2)
    given = values.permute(0, 2, 3, 1) if last else values
    average, nosink, norms = pool_patches(given, tap, ["avg", "avg-nosink"])
    torch.testing.assert_close(average, patches.mean(1))
    torch.testing.assert_close(nosink, torch.stack([without_sinks(image) for image in patches]))
    torch.testing.assert_close(norms, torch.tensor([measured(image) for image in patches]), rtol=1e-3, atol=1e-5)
    assert norms[0, 2] == 4 + 2


def test_a_map_with_as_many_rows_as_channels_has_the_layout_of_the_others() -> None:
    taps = [Tap("stage_0", 4, "", ""), Tap("stage_1", 8, "", "")]
    values = torch.rand(2, 4, 4, 4)
    last, first = {"stage_1": (2, 2, 2, 8)}, {"stage_1": (2, 8, 2, 2)}
    for others, axes in ((last, (1, 2)), (first, (2, 3))):
        layout = layout_of(taps, others | {"stage_0": values.shape})
        average, *_ = pool_patches(values, taps[0], ["avg"], layout)
        torch.testing.assert_close(average, values.mean(axes))
    with pytest.raises(VlalignError, match=r"^stage_0 gives maps of shape \[4, 4, 4\], .*: use another --image-size$"):
        pool_patches(values, taps[0], ["avg"], layout_of(taps, {"stage_0": values.shape}))
    with pytest.raises(VlalignError, match=r"^stage_1 gives maps of shape \[4, 4, 4\] instead of 8 features$"):
        pool_patches(values, taps[1], ["avg"], True)


def test_a_map_that_is_mostly_zero_keeps_the_rest() -> None:
    values = torch.zeros(1, 2, 3, 3)
    values[0, :, 1, 1] = 9
    average, nosink, norms = pool_patches(values, Tap("stage_0", 2, "", ""), ["avg", "avg-nosink"])
    assert average.tolist() == [[1, 1]]
    torch.testing.assert_close(nosink, average)
    assert norms.tolist() == [[1, 1, 4]]


def test_registers_are_left_out_of_the_average() -> None:
    tokens = torch.rand(2, 9, 3) + 0.1
    tokens[:, 7] *= 30
    tap = Tap("block_0", 3, "", "", prefix=5)
    token, average, nosink, norms = pool_patches(tokens, tap, ["cls", "avg", "avg-nosink"])
    torch.testing.assert_close(token, tokens[:, 0])
    torch.testing.assert_close(average, tokens[:, 5:].mean(1))
    torch.testing.assert_close(nosink, tokens[:, [5, 6, 8]].mean(1))
    assert norms[:, 2].tolist() == [2, 2]


def test_a_planted_sink_is_found_where_it_begins(tiny: TinyModels) -> None:
    """LLaMA normalises what its blocks read, so that a scaled first token changes no other token."""
    source = locate(resolve(str(tiny.path("llama"))))
    model = load_text_model(source, dtype=torch.float32, device=torch.device("cpu"), loss=False)
    tokens = [[1, 5, 9, 30, 7], [1, 8, 4], [1, 11, 12, 13, 14, 15, 16]]

    def read(pools: list[str]) -> Any:
        reader = TextReader(model, "llama", ["a", "b", "c"], tokens, {}, pools, 100)
        ((_, assemble),) = reader.read([Shard(0, 0, 3)], lambda count: None)
        return assemble()

    # without the first token, of the model as it is: the mean without the one special token
    plain = TextReader(model, "llama", ["a", "b", "c"], tokens, {}, ["mean-content"], 100, (1, 0))
    ((_, assemble),) = plain.read([Shard(0, 0, 3)], lambda count: None)
    rest = assemble()
    before = read(["mean"])

    def scale(module: Any, arguments: Any, output: Any) -> Any:
        state = output[0] if isinstance(output, tuple) else output
        state = state.clone()
        state[:, 0] *= 100
        return (state, *output[1:]) if isinstance(output, tuple) else state

    names = [tap.name for tap in model.taps]
    hook = model.module.get_submodule(model.taps[1].module).register_forward_hook(scale)
    planted = read(["mean", "mean-nosink"])
    hook.remove()
    summary = planted.token_norms(tokens, {1: "<s>"}).summary(names)
    begins = 2  # the state after the block whose output is scaled
    found = [one.layer for one in summary if one.ratio > SINK_RATIO]
    assert found[:1] == names[begins : begins + 1]
    assert (summary[begins].position, summary[begins].place, summary[begins].token_share) == (0, "'<s>'", 1)
    assert summary[begins].note("mean").startswith("one token (mostly '<s>') gives ")
    assert not summary[begins].note("mean-nosink")
    assert not summary[begins - 1].note("mean")
    for layer, name in enumerate(names[:-1]):  # the last state is normalised
        expected = (before if layer < begins else rest).features[0][name]
        torch.testing.assert_close(planted.features[1][name], expected, rtol=1e-3, atol=1e-4)


def test_several_pools_are_runs_of_one_pass_and_the_same_as_alone(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    read = TextReader.read

    def counted(self: TextReader, shards: Any, *more: Any) -> Any:
        passes.append([shard.index for shard in shards])
        return read(self, shards, *more)

    monkeypatch.setattr(TextReader, "read", counted)
    model, data = str(tiny.path("llama")), str(tiny.path("prh"))
    (alone,) = extract(model, data=data, store=str(tmp_path / "one"), shard_rows=5)
    (tmp_path / "two").mkdir()
    other = tmp_path / "two" / alone.path.relative_to(tmp_path / "one")
    passes.clear()
    runs = extract(model, data=data, store=str(tmp_path / "two"), shard_rows=5, text_pool=("mean", "mean-nosink"))
    assert [run.key.data["pooling"] for run in runs] == ["mean", "mean-nosink"]
    assert runs[0].key == alone.key
    assert runs[1].key.data["sink_ratio"] == SINK_RATIO
    assert [one for one in passes if len(one) > 1] == [[0, 1, 2, 3, 4]]
    for file in alone.path.iterdir():
        if file.name != "provenance.jsonl":
            assert (other / file.name).read_bytes() == file.read_bytes()
    assert runs[0].verify() == runs[1].verify() == []

    (runs[1].path / "shard-00002-of-00005.safetensors").unlink()
    passes.clear()
    extract(model, data=data, store=str(tmp_path / "two"), shard_rows=5, text_pool=("mean", "mean-nosink"))
    assert passes[-1] == [2]
    assert FeatureStore(tmp_path / "two").verify() == []

    norms = runs[1].path / "norms-00001-of-00005.safetensors"
    content = bytearray(norms.read_bytes())
    content[-3] ^= 4
    norms.write_bytes(content)
    assert [str(problem) for problem in FeatureStore(tmp_path / "two").verify()] != []
    extract(model, data=data, store=str(tmp_path / "two"), shard_rows=5, text_pool=("mean", "mean-nosink"))
    assert passes[-1] == [1]
    assert FeatureStore(tmp_path / "two").verify() == []


def test_the_preset_robust(tiny: TinyModels, tmp_path: Path) -> None:
    models = [str(tiny.path(name)) for name in ("bert", "timm_dinov2_small", "timm_resnet")]
    data = DataSpec(str(tiny.path("prh")), max_samples=6)
    runs = extract(models, data=data, store=str(tmp_path), preset="robust")
    assert [run.key.data["pooling"] for run in runs] == ["mean-nosink", "cls", "avg-nosink"]


def test_scores_and_lists_show_a_sink(
    tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlalign.extraction import readers

    pool = readers.pool_tokens

    def planted(state: Tensor, *rest: Any) -> list[Tensor]:
        state = state.clone()
        state[:, 0] *= 100
        return pool(state, *rest)

    monkeypatch.setattr(readers, "pool_tokens", planted)
    models = [str(tiny.path(name)) for name in ("llama", "timm_dinov2_small")]
    text, vision = extract(models, data=str(tiny.path("prh")), store=str(tmp_path), vision_pool="avg")
    record = score(vision, text, permutations=0)
    (note,) = [note for note in record.checks["notes"] if "average" in note]
    assert "one token (mostly '<s>') gives" in note
    assert "see --text-pool mean-nosink" in note
    assert main(["runs", str(tmp_path), "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "largest / median norm" in shown
    assert "'<s>'" in shown


def test_a_study_takes_one_pool() -> None:
    with pytest.raises(VlalignError, match="--text-pool mean last: a study takes one pool; run one study for each"):
        UniquenessConfig(x="a", y="b", op="char_delete", rates=(0, 10), text_pool=("mean", "last"))
    assert ExtractOptions("m", text_pool="last").pools("text") == ("last",)
