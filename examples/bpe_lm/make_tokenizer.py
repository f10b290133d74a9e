"""Make the tokenizer of this example, a byte-level BPE of 4,096 tokens: `python examples/bpe_lm/make_tokenizer.py`.

The merges are those of the training text alone, so that nothing of the held-out text is in them. Every text is made of
its tokens, and there is no special one: a document ends with an empty line.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from english import load_corpus

TOKENIZER = Path(__file__).with_name("tokenizer.json")
TOKENS = 4096


def main() -> None:
    """Read the corpus, make the tokenizer and write it."""
    try:
        corpus = load_corpus()
    except ValueError as error:
        raise SystemExit(str(error)) from error
    tokenizer = make_tokenizer(corpus.training)
    tokenizer.save(str(TOKENIZER), pretty=False)
    text = "".join(corpus.held_out)
    tokens = len(tokenizer.encode(text).ids)
    print(f"{TOKENIZER}: {tokenizer.get_vocab_size():,} tokens, {len(text) / tokens:.2f} bytes of held-out text each")


def make_tokenizer(texts: list[str], tokens: int = TOKENS) -> Tokenizer:
    """A byte-level BPE as GPT-2 has it, of so many tokens; the same for the same texts.

    The line ends between documents are left out: at the end of a text they would be one token, within one they are two.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=tokens, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([text.rstrip("\n") for text in texts], trainer)
    return tokenizer


def read_documents(texts: list[str]) -> list[Tensor]:
    """The tokens of each document `(tokens,)`, int64, as they are where all stand in one text."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    line_end = tokenizer.encode("\n").ids
    found = tokenizer.encode_batch([text.rstrip("\n") for text in texts])
    return [torch.tensor(encoding.ids + line_end * 2) for encoding in found]


if __name__ == "__main__":
    main()
