"""Text families of transformers: features of a text are its hidden states read alone, whatever the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import randomise

from vlalign.errors import VlalignError
from vlalign.extraction import probe as probe_module
from vlalign.extraction.probe import probe
from vlalign.extraction.readers import TextReader
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.text import TextModel, load_text_model
from vlalign.store import Shard

ROWS = 200
SIZES = {
    "vocab_size": ROWS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 66, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT = {"vocab_size": ROWS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 66, "bos_token_id": 1}
T5 = {"vocab_size": ROWS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
BART = {
    "vocab_size": ROWS, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48, "max_position_embeddings": 66,
}  # fmt: skip
FUNNEL = {
    "vocab_size": ROWS, "block_sizes": [1, 1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48,
    "architectures": ["FunnelModel"],
}  # fmt: skip
#: tokens of texts, fewer than a position table of 66 rows holds
LENGTHS = (23, 4, 11, 11, 1, 7)


@dataclass(frozen=True)
class Family:
    """How to build a tiny model of a family, and how its texts must be read."""

    kind: str
    config: dict[str, Any]
    batches: str = "padded"
    own_states: bool = False
    auto: str = "AutoModel"

    def __str__(self) -> str:
        return f"{self.kind} {self.auto}"


def bert(kind: str, batches: str = "padded", own_states: bool = False, **config: Any) -> Family:
    return Family(kind, SIZES | config, batches, own_states)


def causal(kind: str, **config: Any) -> Family:
    return Family(kind, SIZES | config, auto="AutoModelForCausalLM")


FAMILIES = [
    bert("albert", own_states=True, embedding_size=16),
    bert("bert"),
    bert("big_bird", "equal", block_size=4, num_random_blocks=1),  # block-sparse attention from 29 tokens on
    bert("convbert", "equal", embedding_size=32, conv_kernel_size=5),
    bert("deberta-v2", relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"]),
    bert("electra", embedding_size=16),
    bert("esm", pad_token_id=1, mask_token_id=4),
    bert("fnet", "equal"),
    bert("longformer", own_states=True, attention_window=[8, 8], pad_token_id=1),
    bert("mobilebert", "equal", intra_bottleneck_size=16, embedding_size=16, true_hidden_size=16),
    bert("modernbert"),
    bert("mpnet", pad_token_id=1),
    bert("roberta", pad_token_id=1),
    bert("squeezebert", own_states=True, embedding_size=32),
    bert("yoso", "equal"),
    Family("distilbert", {"vocab_size": ROWS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    Family("xlnet", {"vocab_size": ROWS, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}, own_states=True),
    Family("t5", T5, auto="AutoModelForTextEncoding"),
    Family("umt5", T5, auto="AutoModelForTextEncoding"),
    Family("bart", BART, auto="AutoModelForCausalLM"),
    Family("bloom", {"vocab_size": ROWS, "hidden_size": 32, "n_layer": 2, "n_head": 4}, auto="AutoModelForCausalLM"),
    Family("gptj", GPT | {"rotary_dim": 4}, auto="AutoModelForCausalLM"),
    causal("electra", embedding_size=16),
    causal("gpt_neox"),
    causal("opt", word_embed_proj_dim=16, ffn_dim=48),
    causal(
        "qwen2_moe", moe_intermediate_size=16, shared_expert_intermediate_size=16, num_experts=4, num_key_value_heads=4
    ),
]


def build(family: Family, folder: Path) -> Path:
    import transformers

    config = transformers.AutoConfig.for_model(family.kind, **family.config)
    model = getattr(transformers, family.auto).from_config(config)
    model.config.architectures = [type(model).__name__]
    randomise(model).save_pretrained(folder)
    return folder


def loaded(folder: Path) -> TextModel:
    model = load_text_model(locate(resolve(str(folder))), dtype=torch.float32, device=torch.device("cpu"))
    return probe(model, folder.name, None, "float32", "none")


def read(model: TextModel, tokens: list[list[int]], budget: int) -> list[torch.Tensor]:
    ids = [f"s{i}" for i in range(len(tokens))]
    reader = TextReader(model, "m", ids, tokens, {"bytes": [1] * len(ids)}, ["mean"], budget)
    [(_, assemble)] = reader.read([Shard(0, 0, len(ids))], lambda count: None)
    result = assemble()
    assert ("bits" in result.extras) == (model.head is not None or model.full is not None)
    return list(result.features[0].values())


def alone(family: Family, folder: Path, tokens: list[list[int]]) -> list[torch.Tensor]:
    """Every hidden state of transformers averaged over tokens, one text at a time, without mask or padding."""
    import transformers

    model = getattr(transformers, family.auto).from_pretrained(folder).eval()
    states = []
    for ids in tokens:
        if hasattr(model, "set_attention_type"):  # a short text switches it for good
            model.set_attention_type("block_sparse")
        with torch.inference_mode():
            output = model(torch.tensor([ids]), output_hidden_states=True)
        states.append([state[0, : len(ids)].mean(0) for state in output.hidden_states])
    return [torch.stack(layer) for layer in zip(*states, strict=True)]


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_features_are_hidden_states_of_each_text_alone(family: Family, tmp_path: Path) -> None:
    folder = build(family, tmp_path / "m")
    draw = torch.Generator().manual_seed(0)
    lengths = (*LENGTHS, 40) if family.kind == "big_bird" else LENGTHS
    tokens = [torch.randint(5, ROWS, (length,), generator=draw).tolist() for length in lengths]
    model = loaded(folder)
    assert (model.batches, model.own_states) == (family.batches, family.own_states)
    expected = alone(family, folder, tokens)
    for budget in (1, 10_000):
        for ours, theirs in zip(read(model, tokens, budget), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("canine", SIZES | {"num_hash_buckets": 64}, r"layers cannot be read: block_\d of 1 × 12 tokens is \[1, 3, 32\]"),
    ("funnel", FUNNEL, r"layers cannot be read: block_1 of 1 × 12 tokens is \[1, 6, 32\]"),
    ("dpr", SIZES, "layers cannot be read: its output holds no last_hidden_state"),
    ("bros", SIZES | {"dim_bbox_projection": 32}, "cannot be read as a text model: You have to specify bbox"),
]


@pytest.mark.parametrize(("kind", "config", "message"), REFUSED, ids=[kind for kind, _, _ in REFUSED])
def test_families_without_a_state_for_each_token_are_refused(
    kind: str, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = build(Family(kind, config), tmp_path / "m")
    with pytest.raises(VlalignError, match=f"^m:? ?(its )?{message}"):
        loaded(folder)


XLM = {"vocab_size": ROWS, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "n_langs": 1, "pad_index": 2, "pad_token_id": 2}
XLNET = {"vocab_size": ROWS, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}


@pytest.mark.parametrize(
    ("name", "kind", "config", "has_loss"),
    [
        ("BertLMHeadModel", "bert", SIZES, False),
        ("BertLMHeadModel", "bert", SIZES | {"is_decoder": True}, True),
        ("GPT2LMHeadModel", "gpt2", GPT, True),
        ("XLMWithLMHeadModel", "xlm", XLM, False),
        ("XLNetLMHeadModel", "xlnet", XLNET, False),
    ],
)
def test_only_models_that_do_not_see_later_tokens_have_a_loss(
    name: str, kind: str, config: dict[str, Any], has_loss: bool, tmp_path: Path
) -> None:
    import transformers

    full = randomise(getattr(transformers, name)(transformers.AutoConfig.for_model(kind, **config))).eval()
    full.save_pretrained(tmp_path / "m")
    tokens = list(range(20, 32))
    with torch.inference_mode():
        logits = [full(torch.tensor([text])).logits[0, :-1] for text in (tokens, [*tokens[:-1], 99])]
    assert torch.allclose(*logits, atol=1e-4) == has_loss
    model = loaded(tmp_path / "m")
    assert (model.head is not None or model.full is not None) == has_loss
    if has_loss:
        reader = TextReader(model, "m", ["a"], [tokens], {"bytes": [12]}, ["mean"], 100)
        [(_, assemble)] = reader.read([Shard(0, 0, 1)], lambda count: None)
        nats = torch.nn.functional.cross_entropy(logits[0], torch.tensor(tokens[1:]), reduction="sum")
        assert float(assemble().extras["bits"]) == pytest.approx(float(nats) / math.log(2), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loss_is_refused_where_later_tokens_change_states(tmp_path: Path, dtype: str) -> None:
    model = loaded(build(causal("gpt_neox"), tmp_path / "m"))
    model.module.to(getattr(torch, dtype))
    assert probe(model, "m", None, dtype, "none").head is not None
    model.module.layers[0] = _Batchwise(lambda states: states + 0.1 * states.roll(-1, dims=1))
    with pytest.raises(VlalignError, match=r"^m: its states depend on later tokens, .*: pass --no-loss"):
        probe(model, "m", None, dtype, "none")
    assert probe(replace(model, head=None), "m", None, dtype, "none").head is None


class _Batchwise(torch.nn.Module):
    """Adds the batch's mean to every state, or noise."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.change(states)


def test_states_that_other_texts_change_are_read_one_text_at_a_time(tmp_path: Path) -> None:
    model = loaded(build(bert("bert"), tmp_path / "m"))
    model.module.encoder.layer[0] = _Batchwise(lambda states: states + states.mean(0, keepdim=True))
    assert probe(model, "m", None, "float32", "none").batches == "single"


@pytest.mark.parametrize(("free", "batches"), [(2**40, "padded"), (0, "equal")])
def test_float32_decides_where_half_precision_leaves_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, batches: str
) -> None:
    model = loaded(build(bert("bert"), tmp_path / "m"))
    module = model.module.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    decide = probe_module._batches

    def doubting(model: TextModel, *rest: Any) -> str:
        return decide(model, *rest) if next(module.parameters()).dtype == torch.float32 else "equal"

    monkeypatch.setattr(probe_module, "_batches", doubting)
    monkeypatch.setattr(probe_module, "_free_bytes", lambda device: free)
    assert probe(model, "m", None, "bfloat16", "none").batches == batches
    for name, weight in module.state_dict().items():
        assert weight.dtype == before[name].dtype
        assert torch.equal(weight, before[name])


def test_states_that_are_drawn_at_random_are_refused(tmp_path: Path) -> None:
    model = loaded(build(bert("bert"), tmp_path / "m"))
    model.module.encoder.layer[0] = _Batchwise(lambda states: states + torch.randn_like(states))
    with pytest.raises(VlalignError, match=r"^m: its states differ each time that a text is read"):
        probe(model, "m", None, "float32", "none")


def test_a_limit_of_one_token_leaves_nothing_to_try(tmp_path: Path) -> None:
    model = loaded(build(bert("bert"), tmp_path / "m"))
    assert probe(replace(model), "m", 1, "float32", "none") == model
