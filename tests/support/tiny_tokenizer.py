"""Small tokenizers, trained on the spot from one text; the same bytes every time."""

from __future__ import annotations

from functools import cache

TEXT = """Spikes carry the state from tick to tick. Größe und Maß: „äöü“ — naïve café, 你好世界, 🙂🙃.
def step(x, state):
    return state * 0.9 + x  # a leaky membrane, 0.9 a tick
"""


@cache
def byte_level(size: int = 300, end: str = "<|endoftext|>") -> bytes:
    """A byte-level BPE as GPT-2 has it: every text is made of its tokens, and `end` is its only special one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    return tokenizer.to_str().encode()


@cache
def byte_fallback() -> bytes:
    """A BPE as Llama has it: blanks as ▁, bytes for what it does not know, a token before every text and an end."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    letters = ["<s>", "</s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdeilnst"]
    tokenizer = Tokenizer(
        models.BPE(
            {text: index for index, text in enumerate([*letters, "▁a", "▁s"])},
            [("▁", "a"), ("▁", "s")],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<s>", "</s>", "<unk>")])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer.to_str().encode()


@cache
def words() -> bytes:
    """Whole words of one text, `[UNK]` for all others; cut off at four tokens, as a classifier's tokenizer is saved."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    known = ["[UNK]", "[CLS]", "[EOS]", "spikes", "carry", "state"]
    tokenizer = Tokenizer(models.WordLevel({text: index for index, text in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [EOS]", special_tokens=[("[CLS]", 1), ("[EOS]", 2)]
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    return tokenizer.to_str().encode()
