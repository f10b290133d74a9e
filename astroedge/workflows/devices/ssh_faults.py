"""What OpenSSH says when a connection fails, as what happened, why that usually is and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.errors import DeviceError, printable

SSH_FAILED = 255
"""What `ssh` itself exits with; everything else is the remote program's."""

# A part of ssh's message, and the sentence for it; the first that is found counts. {device} is the address.
_KNOWN: Sequence[tuple[str, str]] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {device} is another one than your known_hosts has: the board was installed anew, or somebody "
        "stands between you. Where you know why, remove the old key: ssh-keygen -R {host}",
    ),
    (
        "Host key verification failed",
        "the host key of {device} is not known here yet: connect once by hand and compare its fingerprint: {ssh}",
    ),
    (
        "Permission denied",
        "{device} refuses the login: no key of yours is accepted there for this user; nothing is ever asked for, so a "
        "password is no way in. Check the user name, unlock your key (ssh-add), or let it in: ssh-copy-id {target}",
    ),
    (
        "Too many authentication failures",
        "{device} refuses the login after too many keys: name the right one in ~/.ssh/config (IdentityFile with "
        "IdentitiesOnly yes)",
    ),
    (
        "Could not resolve hostname",
        "there is no host {host}: the name is in no DNS, mDNS or ~/.ssh/config that this machine asks; check its "
        "spelling and that the board is on, or give its address",
    ),
    (
        "Connection refused",
        "{device} refuses connections: no SSH server listens there; switch it on (on a Raspberry Pi: raspi-config, "
        "Interface Options), or give its port",
    ),
    ("timed out", "{device} does not answer: it is off, asleep or in another network; {ssh} shows when it is there"),
    ("No route to host", "there is no way to {device}: it is off or in another network"),
    ("Network is unreachable", "there is no way to {device}: this machine is not in its network"),
    ("Bad owner or permissions", "ssh refuses your configuration files for who may write them: {said}"),
    ("Bad configuration option", "ssh does not understand your configuration: {said}"),
)
_LOST = (
    "the connection to {device} was lost: the network or the board went down, or somebody ended it; what was made "
    "there is removed once the board sees it. Try again"
)


def explain_failure(said: str, device: str, host: str, words: Sequence[str]) -> DeviceError:
    """The error for what `ssh` printed before it exited with 255; `words` are what it was given after its options."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = printable(lines[-1].removeprefix("ssh: "))[:300] if lines else ""
    target = " ".join(word for word in words if word != "--")
    facts = {"device": device, "host": host, "ssh": f"ssh {target}", "target": target, "said": last}
    template = next((text for sign, text in _KNOWN if sign in said), _LOST)
    told = f" (ssh: {last})" if last and "{said}" not in template else ""
    text = f"{template.format(**facts)}{told}."
    return DeviceError(f"{text[0].upper()}{text[1:]}")
