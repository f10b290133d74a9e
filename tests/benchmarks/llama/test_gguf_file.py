"""GGUF files of random llamas: sizes as counted, read and stepped by llama.cpp where that is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.llama.gguf_file import LlamaConfig, write_gguf
from benchmarks.llama.prepare import LLAMA, SIZES, Size, missing_packages, own_weights
from benchmarks.llama.token_work import TokenWork
from benchmarks.processes.stream import ProcessError, open_stream

TINY = LlamaConfig(vocabulary=64, width=64, heads=4, kv_heads=2, feed_forward=128, layers=2)
TOKENS = np.random.default_rng(0).integers(0, TINY.vocabulary, (12, 1))


def needs_llama() -> None:
    """Skip where llama.cpp is not installed."""
    reason = missing_packages()
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_llama_has_as_many_weights_as_the_astrosnn_of_its_size(size: Size) -> None:
    """Embedding and head included."""
    assert size.llama.weights == pytest.approx(own_weights(size), rel=0.01)


def test_bytes_follow_from_blocks_of_32_weights() -> None:
    """A block has its bits and a float16 scale, norms are float32, and a token adds keys and values in float16."""
    matrices = 2 * 64 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128)
    assert TINY.weights == matrices + 5 * 64
    assert TINY.weight_bytes("Q4_0") == matrices // 32 * 18 + 4 * 5 * 64
    assert TINY.weight_bytes("Q8_0") == matrices // 32 * 34 + 4 * 5 * 64
    assert TINY.cache_bytes(100) == 100 * 2 * 2 * 32 * 2
    read = TINY.weight_bytes("Q4_0") - 63 * 64 // 32 * 18
    assert TINY.touched_bytes("Q4_0", 10) == read + TINY.cache_bytes(11)


@pytest.mark.parametrize("quantisation", ["Q4_0", "Q8_0"])
def test_the_file_holds_what_was_counted(quantisation: str, tmp_path: Path) -> None:
    """llama.cpp's own reader finds every tensor with its shape, and the sizes that a llama is made from."""
    gguf = pytest.importorskip("gguf")
    write_gguf(tmp_path / "tiny.gguf", TINY, quantisation)
    reader = gguf.GGUFReader(tmp_path / "tiny.gguf")
    shapes = {tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in reader.tensors}
    assert shapes == dict(TINY.tensors())
    assert sum(int(tensor.n_bytes) for tensor in reader.tensors) == TINY.weight_bytes(quantisation)
    assert {tensor.tensor_type.name for tensor in reader.tensors} == {quantisation, "F32"}
    assert reader.fields["llama.attention.head_count_kv"].contents() == TINY.kv_heads


@pytest.mark.parametrize("quantisation", ["Q4_0", "Q8_0"])
def test_llama_cpp_steps_the_file_from_any_context(quantisation: str, tmp_path: Path) -> None:
    """Logits are finite numbers that the tokens before decide, whether they were stepped or come from a file."""
    needs_llama()
    path, kept = tmp_path / "tiny.gguf", tmp_path / "100.cache"
    write_gguf(path, TINY, quantisation)
    with open_stream("llama", LLAMA, TokenWork(str(path), 2, 100, batch=32)) as stream:
        stream.ask("fill", {100: str(kept)})
        expected = stream.tick({"token": TOKENS[0]})
        facts = stream.ask("facts")
    assert expected.shape == (TINY.vocabulary,)
    assert np.isfinite(expected).all()
    assert facts["weights"] == TINY.weights
    assert facts["weight_bytes"] == TINY.weight_bytes(quantisation)
    with open_stream("llama", LLAMA, TokenWork(str(path), 1, 100, str(kept))) as stream:
        assert (stream.time_block({"token": np.resize(TOKENS, (200, 1))}) > 0).all()
    with open_stream("llama", LLAMA, TokenWork(str(path), 1, 100, str(kept))) as stream:
        np.testing.assert_allclose(stream.tick({"token": TOKENS[0]}), expected, atol=1e-2 * np.abs(expected).max())
    with open_stream("llama", LLAMA, TokenWork(str(path), 1)) as stream:
        fresh = stream.tick({"token": TOKENS[0]})
    assert np.abs(fresh - expected).max() > 0.1 * np.abs(expected).max()


def test_a_state_of_another_length_is_refused(tmp_path: Path) -> None:
    """A context that is not the one asked for would be timed under a wrong name."""
    needs_llama()
    path, kept = tmp_path / "tiny.gguf", tmp_path / "40.cache"
    write_gguf(path, TINY, "Q8_0")
    with open_stream("llama", LLAMA, TokenWork(str(path), 1, 40, batch=32)) as stream:
        stream.ask("fill", {40: str(kept)})
    with (
        pytest.raises(ProcessError, match="holds 40 tokens, not 100"),
        open_stream("llama", LLAMA, TokenWork(str(path), 1, 100, str(kept))),
    ):
        pass
