"""Toy tokenizers trained on a few sentences, in the files that each family's repositories hold."""

from __future__ import annotations

import io
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from support.captions import SENTENCES

VOCAB = 512  # of the sentencepiece models and the largest of the others


def write_json(path: Path, data: Any) -> None:
    """Write JSON as the Hub's repositories have it."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@cache
def sentencepiece_model(normalization: str = "identity", extra_whitespace: bool = True) -> bytes:
    """A BPE model with byte fallback, ``<unk> <s> </s>`` first, as LLaMA's; same bytes each time it is trained."""
    import sentencepiece

    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=writer,
        model_type="bpe",
        vocab_size=VOCAB,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name=normalization,
        remove_extra_whitespaces=not extra_whitespace,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
        pad_id=-1,
    )
    return writer.getvalue()


@cache
def sentencepiece_parts() -> tuple[list[tuple[str, float, str]], list[tuple[str, str]]]:
    """(piece, score, kind) of every token, and the merges, of the ``identity`` model.

    ``kind`` is "unknown", "control", "byte" or "normal". A merge's rank is that of the piece it makes.
    """
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    pieces = []
    for index in range(model.get_piece_size()):
        kind = "normal"
        for name, test in (("unknown", model.is_unknown), ("control", model.is_control), ("byte", model.is_byte)):
            kind = name if test(index) else kind
        pieces.append((model.id_to_piece(index), model.get_score(index), kind))
    ranks = {piece: index for index, (piece, _, kind) in enumerate(pieces) if kind == "normal"}
    merges = []
    for piece in sorted(ranks, key=ranks.__getitem__):
        splits = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [pair for pair in splits if pair[0] in ranks and pair[1] in ranks]
        merges += sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return pieces, merges


def _added(content: str) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def save_llama(folder: Path, *, pad: str | None = None) -> int:
    """As huggyllama's: tokenizer.model, tokenizer.json with ``<s>`` in front, and no pad token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    pieces, merges = sentencepiece_parts()
    vocab = {piece: index for index, (piece, _, _) in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    special: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {name: _added(token) for name, token in special.items()}
    write_json(
        folder / "tokenizer_config.json",
        settings
        | {
            "add_bos_token": True,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "legacy": False,
            "model_max_length": 1000000000000000019884624838656,
            "pad_token": pad,
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
        },
    )
    write_json(folder / "special_tokens_map.json", settings)
    return VOCAB


def save_open_llama(folder: Path) -> int:
    """As openlm-research's: tokenizer.model only (NFKC, repeated spaces merged), and the two JSON files beside it."""
    (folder / "tokenizer.model").write_bytes(sentencepiece_model("nmt_nfkc", extra_whitespace=False))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    typed = {name: {"__type": "AddedToken", **_added(token)} for name, token in names.items()}
    write_json(
        folder / "tokenizer_config.json",
        typed
        | {
            "add_bos_token": True,
            "add_eos_token": False,
            "model_max_length": 2048,
            "pad_token": None,
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
            "clean_up_tokenization_spaces": False,
        },
    )
    write_json(folder / "special_tokens_map.json", {name: _added(token) for name, token in names.items()})
    return VOCAB


def _byte_level(special: list[str], *, prefix_space: bool = False) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, initial_alphabet=alphabet)
    trainer.show_progress = False
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def save_bloom(folder: Path) -> int:
    """As bigscience's: byte-level BPE with ``<unk> <s> </s> <pad>``; nothing is put in front."""
    tokenizer = _byte_level(["<unk>", "<s>", "</s>", "<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    settings = {"add_prefix_space": False, "padding_side": "left", "tokenizer_class": "BloomTokenizerFast"}
    write_json(folder / "tokenizer_config.json", special | settings)
    write_json(folder / "special_tokens_map.json", special)
    return int(tokenizer.get_vocab_size())


def save_gpt2(folder: Path) -> int:
    """As openai-community's: vocab.json, merges.txt, tokenizer.json; one special token and no pad token."""
    tokenizer = _byte_level(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 64, "tokenizer_class": "GPT2Tokenizer"})
    return int(tokenizer.get_vocab_size())


def save_olmo(folder: Path) -> int:
    """As allenai's OLMo-hf: GPT-NeoX's byte-level BPE with ``<|padding|>``."""
    tokenizer = _byte_level(["<|endoftext|>", "<|padding|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"eos_token": "<|endoftext|>", "pad_token": "<|padding|>"}
    settings = {"bos_token": None, "tokenizer_class": "GPTNeoXTokenizer", "model_max_length": 2048}
    write_json(folder / "tokenizer_config.json", special | settings)
    write_json(folder / "special_tokens_map.json", special)
    return int(tokenizer.get_vocab_size())


def save_gemma(folder: Path) -> int:
    """As google's: ``<pad> <eos> <bos> <unk>`` first, byte fallback, spaces as ``▁``, ``<bos>`` in front."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces, merges = sentencepiece_parts()
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokens = special + [piece for piece, _, kind in pieces if kind in ("byte", "normal")]
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing("<bos> $A", "<bos> $A <bos> $B", [("<bos>", 2)])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"add_bos_token": True, "add_eos_token": False, "tokenizer_class": "GemmaTokenizer"}
    write_json(folder / "tokenizer_config.json", names | settings)
    write_json(folder / "special_tokens_map.json", names)
    return len(tokens)


def save_bert(folder: Path) -> int:
    """As google-bert's uncased: WordPiece with ``[PAD] [UNK] [CLS] [SEP] [MASK]``, vocab.txt and tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    # Counted here, because the library's WordPiece trainer breaks ties differently in each run.
    words = Counter(word for text in SENTENCES for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in words for letter in word})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    common = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))[:120]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *common, "##ed", "##ing", "##ers"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, splitter, decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    settings = {"do_lower_case": True, "model_max_length": 64, "tokenizer_class": "BertTokenizer"}
    write_json(folder / "tokenizer_config.json", settings)
    return len(pieces)
