"""A tokenizer of Hugging Face, run by their package `tokenizers`: text to tokens, and tokens to text as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from astroedge.errors import InputError
from astroedge.host_package import require
from astroedge.step.tokenizer_file import count_tokens

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A tokenizer's file does not say which token ends a text; these do in the models that are published.
ENDS = frozenset(
    (
        *("</s>", "<eos>", "<EOS>", "[EOS]", "<|eos|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>"),
        *("<|end|>", "<|return|>", "<end_of_turn>", "<|end▁of▁sentence|>", "<｜end▁of▁sentence｜>"),
    )
)


class Tokenizer:
    """A `tokenizer.json`.

    `size` is how many tokens it has. `ends` are those that end a text: what it puts behind every text, and its special
    tokens that are called as ends usually are. `start` is what stands before a text of which nothing was read: what it
    puts before every text, else the token that ends the text before, a line end, or token 0.

    Raises InputError, which calls the file `source`, for a content that is no tokenizer; MissingDependencyError where
    `tokenizers` is not installed.
    """

    unit = "token"

    def __init__(self, content: bytes, source: str = "tokenizer.json") -> None:
        self.size = count_tokens(content, source)
        tokenizers = require("tokenizers", "a model with a tokenizer")
        self._failed = f"{source} is no tokenizer that tokenizers {tokenizers.__version__} reads"
        with self._guarded():
            self._tokenizer = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            added = self._tokenizer.get_added_tokens_decoder()
            self._special = {token.content: index for index, token in added.items() if token.special}
        self._before, behind = self._template()
        named = [index for text, index in self._special.items() if text in ENDS]
        self.ends = frozenset((*behind, *named))
        self.start = self._before or [*behind[:1], *sorted(named)[:1], *self.encode("\n")[:1], 0][:1]

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever the package raises is an InputError: it panics at some files, which is no Exception of Python's.

        What it prints of a panic then goes nowhere.
        """
        try:
            with _silenced():
                yield
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise InputError(f"{self._failed}: {str(error)[:200]}.") from error
            raise

    def _template(self) -> tuple[list[int], list[int]]:
        """The tokens that are put before and behind every text."""
        with self._guarded():
            whole = list(self._tokenizer.encode("a").ids)
        plain = self.encode("a")
        for first in range(len(whole) - len(plain) + 1):
            if whole[first : first + len(plain)] == plain:
                return whole[:first], whole[first + len(plain) :]
        return [], []

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without those that are put around every text.

        Raises InputError for what is no text, such as half a surrogate pair.
        """
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            raise InputError("The text is no UTF-8, which the model's tokenizer reads; give it as UTF-8.")
        with self._guarded():
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def prompt(self, text: str) -> list[int]:
        """The tokens that a step reads before it continues a text: with what is put before every text, never none."""
        return [*self._before, *self.encode(text)] or self.start

    def end_of(self, text: str) -> int | None:
        """The special token that is called so, which no text that is decoded shows; None where there is none."""
        return self._special.get(text)

    def decode(self, tokens: Sequence[int], special: bool = False) -> str:
        """The text of tokens; with `special` those are shown that stand for no text."""
        with self._guarded():
            return str(self._tokenizer.decode(list(tokens), skip_special_tokens=not special))

    def pieces(self, prompt: Sequence[int], produced: Iterable[int]) -> Iterator[str]:
        """What each token adds to the text after a prompt, as soon as its last character is whole, "" until then.

        A token's text depends on those before it (blanks between words, bytes of one character), so it is the
        difference that it makes to the text from two pieces before. Bytes that are no UTF-8 come at the end or with the
        next character, as U+FFFD. Where they change how the bytes before them are decoded, which were shown already,
        they are decoded alone.
        """
        held, last = list(prompt), len(prompt)
        before = self.decode(held)
        for token in produced:
            held.append(token)
            text = self.decode(held)
            if text.endswith(REPLACEMENT):
                yield ""
                continue
            yield self._after(before, text, held[last:])
            held = held[last:]  # begins where a piece began
            last, before = len(held), self.decode(held)
        yield self._after(before, self.decode(held), held[last:])

    def _after(self, before: str, text: str, tokens: Sequence[int]) -> str:
        return text[len(before) :] if text.startswith(before) else self.decode(tokens)


@contextmanager
def _silenced() -> Iterator[None]:
    """Nothing reaches standard error."""
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is none
        yield
        return
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
