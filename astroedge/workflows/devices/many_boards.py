"""Several boards at once, a thread each; one that fails does not lose the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from astroedge.errors import AstroEdgeError
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.connection import Connection
from astroedge.workflows.devices.remote_board import RemoteBoard, describe_board

T = TypeVar("T")


class ManyBoards:
    """Connections to boards: open inside `with`, and closed, with all that was made there, at its end.

    `boards` are those that were reached and recognised and have not failed since, `failures` the errors of the others,
    both by address in the order they were named. `say` is called with a board and what happens there.
    """

    def __init__(self, addresses: Sequence[Address], say: Callable[[Address, str], None]) -> None:
        self.addresses = tuple(addresses)
        self.boards: dict[Address, RemoteBoard] = {}
        self.failures: dict[Address, AstroEdgeError] = {}
        self.connections = {address: Connection(address) for address in addresses}
        self._say = say

    def __enter__(self) -> ManyBoards:
        """Log in everywhere."""
        try:
            found = self._all(self.addresses, self._open)
        except BaseException:
            self._close()
            raise
        self.boards = {address: found[address] for address in self.addresses if address in found}
        return self

    def __exit__(self, *error: object) -> None:
        """Clean up everywhere."""
        self._close()

    def each(self, work: Callable[[Address, Connection, RemoteBoard], T]) -> dict[Address, T]:
        """Do one thing on every board that is left; what came of it, by address."""
        return self._all(
            tuple(self.boards), lambda address: work(address, self.connections[address], self.boards[address])
        )

    def fail(self, address: Address, error: AstroEdgeError) -> None:
        """Give a board up."""
        self.boards.pop(address, None)
        self.failures[address] = error
        self._say(address, "failed")

    def _open(self, address: Address) -> RemoteBoard:
        self._say(address, "connecting")
        self.connections[address].open()
        board = describe_board(self.connections[address].texts, address.text)
        self._say(address, f"is {board.name}")
        return board

    def _all(self, addresses: Sequence[Address], work: Callable[[Address], T]) -> dict[Address, T]:
        """The results of those that did not fail.

        An interruption ends every connection, and with it what waits there.
        """

        def attempt(address: Address) -> T | AstroEdgeError:
            try:
                return work(address)
            except AstroEdgeError as error:
                return error

        with ThreadPoolExecutor(max(1, len(addresses))) as pool:
            futures = {address: pool.submit(attempt, address) for address in addresses}
            try:
                wait(futures.values())
            except BaseException:
                self._close()
                raise
        found = {}
        for address, future in futures.items():
            result = future.result()
            if isinstance(result, AstroEdgeError):
                self.fail(address, result)
            else:
                found[address] = result
        return found

    def _close(self) -> None:
        with ThreadPoolExecutor(max(1, len(self.connections))) as pool:
            for connection in self.connections.values():
                pool.submit(connection.close)
