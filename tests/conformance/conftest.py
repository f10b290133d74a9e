"""What conformance tests need of their process: PyTorch on one thread, and the checks of a case side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.conformance.cases import Case


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put all checks of a case where its first one is: one process exports and compiles it, once for all of them."""
    first: dict[object, int] = {}

    def place(numbered: tuple[int, pytest.Item]) -> int:
        index, item = numbered
        case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
        return first.setdefault(case if isinstance(case, Case) else item, index)

    items[:] = [item for _, item in sorted(enumerate(items), key=place)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For these tests alone, because threads wait for each other far longer than these small convolutions take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
