"""The study of large heads: both networks are stepped, and the table says what the larger head takes more."""

from __future__ import annotations

import pytest

from benchmarks.studies import head


@pytest.mark.compiles
def test_a_head_is_what_one_network_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks of int4 weights on one thread."""
    monkeypatch.setattr(head, "WIDTH", 64)
    monkeypatch.setattr(head, "ROUNDS", 3)
    monkeypatch.setattr(head, "CORES", 1)
    monkeypatch.setattr(head, "PRECISIONS", {"int4": 4})
    records = head.measure({words: head.network(words) for words in (256, 8192)})
    assert [(item["precision"], item["threads"], item["bytes"]) for item in records] == [("int4", 1, 64 * 8192 // 2)]
    assert records[0]["tick_of_few_words"] > 0


def test_the_table_has_the_share_of_the_limit() -> None:
    """51 MB in 5 ms are read at 10.2 GB/s, 85 % of 12."""
    record = {"precision": "int4", "threads": 1, "milliseconds": 5.0, "bytes": 51e6, "bandwidth_gb_per_s": 12.0}
    assert head.render({"heads": [record]})[-1] == "| int4 | 1 | 51 MB | 5.00 ms | 10.2 GB/s | 85% |"
