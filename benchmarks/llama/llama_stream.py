"""A GGUF network in llama.cpp, stepped token by token through `llama-cpp-python`, in a process of its own.

`llama_decode` is called through the package's bindings, which is faster than its class `Llama`. Weights are repacked
for the processor as llama.cpp sees fit, flash attention is as it chooses, the key-value cache in float16: its defaults.
Only memory is spared, where that costs no time: weights are read instead of mapped, the cache has room for the context
and the few tokens that are timed after it, and buffers are for one token at a time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from benchmarks.llama.token_work import TokenWork

SPAN = 64  # tokens that are decoded after the context before the stream goes back to it


def start(work: TokenWork) -> LlamaStream:
    """Load the network, and the context that it is to go on from."""
    return LlamaStream(work)


class LlamaStream:
    """One sequence of a network; a call decodes one token and gives its logits."""

    def __init__(self, work: TokenWork) -> None:
        llama_cpp.llama_backend_init()
        weights = llama_cpp.llama_model_default_params()
        # With weights repacked for AMX, many tokens at once crash on some machines; one at a time takes other kernels.
        weights.use_extra_bufts = work.batch == 1
        # Repacked, they have memory of their own; mapped as well, which is the default, they would be there twice.
        weights.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
        self._model: Any = llama_cpp.llama_model_load_from_file(os.fsencode(work.path), weights)
        if not self._model:
            raise ValueError(f"llama.cpp does not load {work.path}")
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = work.context + SPAN
        options.n_batch = options.n_ubatch = work.batch
        options.n_threads = options.n_threads_batch = work.threads
        self._stream: Any = llama_cpp.llama_init_from_model(self._model, options)
        if not self._stream:
            raise ValueError(f"llama.cpp gives no context of {options.n_ctx} tokens")
        self._memory = llama_cpp.llama_get_memory(self._stream)
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._token = (llama_cpp.llama_token * 1)()
        self._batch = llama_cpp.llama_batch_get_one(self._token, 1)
        self._address, self._logits = 0, np.empty(0, np.float32)
        self.batch, self.context = work.batch, work.context
        if work.state is not None:
            self._load(work.state)
        self._position = work.context

    def __call__(self, row: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Decode `token (1,)` → logits `(vocabulary,)`, which the next call overwrites."""
        if self._position == self.context + SPAN:
            llama_cpp.llama_memory_seq_rm(self._memory, 0, self.context, -1)
            self._position = self.context
        self._token[0] = int(row[0][0])
        self._decode(self._batch)
        self._position += 1
        pointer = llama_cpp.llama_get_logits(self._stream)
        address = ctypes.addressof(pointer.contents)
        if address != self._address:
            self._address, self._logits = address, np.ctypeslib.as_array(pointer, (self._vocabulary,))
        return self._logits

    def fill(self, marks: Mapping[int, str]) -> None:
        """Decode random tokens, and after as many as each mark says write the stream's state to the mark's file."""
        tokens = np.random.default_rng(0).integers(0, self._vocabulary, max(marks)).astype(np.int32)
        done = 0
        for mark, path in sorted(marks.items()):
            while done < mark:
                piece = tokens[done : min(done + self.batch, mark)]
                given = (llama_cpp.llama_token * len(piece))(*piece.tolist())
                self._decode(llama_cpp.llama_batch_get_one(given, len(piece)))
                done += len(piece)
            if not llama_cpp.llama_state_seq_save_file(self._stream, os.fsencode(path), 0, self._token, 0):
                raise OSError(f"llama.cpp cannot write {path}")

    def facts(self) -> dict[str, Any]:
        """What llama.cpp says of the network, of its cache and of how it was built."""
        return {
            "weights": llama_cpp.llama_model_n_params(self._model),
            "weight_bytes": llama_cpp.llama_model_size(self._model),
            "cells": llama_cpp.llama_n_ctx(self._stream),
            "threads": llama_cpp.llama_n_threads(self._stream),
            "build": llama_cpp.llama_print_system_info().decode(),
        }

    def _decode(self, batch: Any) -> None:
        code = llama_cpp.llama_decode(self._stream, batch)
        if code:
            raise RuntimeError(f"llama_decode returns {code}")

    def _load(self, path: str) -> None:
        count = ctypes.c_size_t()
        if not llama_cpp.llama_state_seq_load_file(
            self._stream, os.fsencode(path), 0, self._token, 1, ctypes.byref(count)
        ):
            raise ValueError(f"llama.cpp does not take the state in {path}")
        held = llama_cpp.llama_memory_seq_pos_max(self._memory, 0) + 1
        if held != self.context:
            raise ValueError(f"{path} holds {held} tokens, not {self.context}")
