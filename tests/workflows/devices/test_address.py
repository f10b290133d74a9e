from __future__ import annotations

import pytest

from astroedge.errors import DeviceError
from astroedge.workflows.devices.address import Address, Devices, read_address, read_devices


@pytest.mark.parametrize(
    ("text", "address", "words"),
    [
        ("jetson", Address("jetson"), ["--", "jetson"]),
        ("pi@raspberrypi.local", Address("raspberrypi.local", "pi"), ["-l", "pi", "--", "raspberrypi.local"]),
        ("ssh://pi@10.0.0.7:2222", Address("10.0.0.7", "pi", 2222), ["-p", "2222", "-l", "pi", "--", "10.0.0.7"]),
        ("ssh://board/", Address("board"), ["--", "board"]),
        ("ssh://[fe80::1%eth0]:22", Address("fe80::1%eth0", "", 22), ["-p", "22", "--", "fe80::1%eth0"]),
    ],
)
def test_addresses_and_aliases(text: str, address: Address, words: list[str]) -> None:
    """An address, an alias of the user's configuration, and what ssh is given for each, the host behind "--"."""
    assert read_address(text) == address
    assert address.words() == words


@pytest.mark.parametrize(
    "text",
    [
        *("-oProxyCommand=touch x", "ssh://-oProxyCommand=x", "ssh://pi@-x", "ssh://-l@host", "-1", "", "ssh://"),
        *("a b", "a;b", "$(reboot)", "host:22", "ssh://host:0", "ssh://host:65536", "ssh://host:22:22", "ssh://a/b"),
        *("ssh://pi@ho\nst", "ssh://pi:secret@host", "user@", "ssh://[::1", "http://host", "‐host"),
    ],
)
def test_nothing_else_reaches_ssh(text: str) -> None:
    """What ssh would take for an option, or a shell for a command, is no device."""
    with pytest.raises(DeviceError, match="names no device"):
        read_address(text)


def test_numbers_are_gpus() -> None:
    """A number stays a GPU of this machine; it stands alone, and a board that is named twice is one."""
    assert read_devices(["0"]) == Devices(gpu=0)
    assert read_devices([]) == Devices()
    assert read_devices(["a", "ssh://b", "a"]) == Devices(boards=(Address("a"), Address("b")))
    for texts in (["0", "1"], ["0", "jetson"]):
        with pytest.raises(DeviceError, match="one GPU of this machine or on boards"):
            read_devices(texts)
    with pytest.raises(DeviceError, match="no GPU's number"):
        read_devices(["99999999999"])
