"""What a step waits for on a GPU differs from chip to chip."""

from __future__ import annotations

from astroedge.targets.boards.board_file import shipped_boards
from astroedge.targets.families.gpu_costs import BLOCKS_A_MULTIPROCESSOR, gpu_costs


def test_more_blocks_wait_longer_for_each_other() -> None:
    """A wait takes round trips to the second cache, and some time for each block."""
    server = gpu_costs(("sm_90",), 132)
    assert server.blocks == 132 * BLOCKS_A_MULTIPROCESSOR
    assert server.barrier(server.blocks) > 1.3 * server.barrier(16)
    jetson = gpu_costs(("sm_87",), 4)
    assert jetson.load > server.load
    assert jetson.barrier(16) > server.barrier(16)


def test_a_target_of_many_chips_is_as_slow_as_the_slowest() -> None:
    """Its code is one text; nobody knows how many multiprocessors there will be."""
    chips = ("sm_72", "sm_87", "sm_90")
    costs, alone = gpu_costs(chips), [gpu_costs((chip,)) for chip in chips]
    assert (costs.load, costs.operation) == (max(item.load for item in alone), max(item.operation for item in alone))
    assert costs.multiprocessors == min(item.multiprocessors for item in alone)


def test_chips_that_nobody_measured_are_like_the_one_before() -> None:
    """An unknown chip has the costs of the last known one, and every board has some."""
    assert gpu_costs(("sm_121",)) == gpu_costs(("sm_90",))
    assert gpu_costs(("sm_61",)) == gpu_costs(("sm_60",))
    boards = [board for board in shipped_boards().values() if board.gpu]
    assert len(boards) >= 5
    assert all(500 < gpu_costs(item.gpu, item.multiprocessors).barrier(16) < 5000 for item in boards)
