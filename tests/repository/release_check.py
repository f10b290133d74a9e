"""`make release-check REPOSITORY=https://…`: builds what an index gets, into dist/, and says what stands in the way.

On an index README's links have no repository to be relative to, so that the archives are built from a copy in which
they are whole addresses, and the project has the addresses of its repository, changelog and issues.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge import __version__
from tests.support.places import ROOT

DIST, ZOO = ROOT / "dist", "examples/zoo"
_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)")
_PAGES = {
    "Repository": "",
    "Documentation": "/tree/v{}/docs",
    "Changelog": "/blob/v{}/CHANGELOG.md",
    "Issues": "/issues",
}


def with_addresses(readme: str, repository: str, version: str, folder: str = "") -> str:
    """The README of a folder with every relative link as the address of that file, or folder, in a release."""

    def address(match: re.Match[str]) -> str:
        place, _, part = match[1].partition("#")
        path = os.path.normpath(os.path.join(folder, place))
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"]({repository}/{kind}/v{version}/{path}{'#' * bool(part)}{part})"

    return _LINK.sub(address, readme)


def with_project_addresses(project: str, repository: str, version: str) -> str:
    """pyproject.toml with the addresses of the repository's pages among its own."""
    lines = [f'{name} = "{repository}{page.format(version)}"' for name, page in _PAGES.items()]
    return project.replace("[project.urls]\n", "\n".join(["[project.urls]", *lines, ""]), 1)


def unreleased(changelog: str, citation: str, version: str) -> Iterator[str]:
    """What the repository has not been told about a release."""
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'"
    if f"\nversion: {version}\n" not in citation:
        yield f"CITATION.cff has another version than {version}"


def problems_of(wheel: Path, version: str) -> Iterator[str]:
    """What is wrong with a wheel as an index shows it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = message_from_bytes(archive.read(metadata))
    if described["Version"] != version:
        yield f"{wheel.name} says that it is version {described['Version']}"
    yield from (
        f"the description links to {link!r}, which no index has" for link in _LINK.findall(described.as_string())
    )
    package = wheel.name.partition("-")[0]
    foreign = [name for name in names if not name.startswith((f"{package}/", f"{package}-{version}.dist-info/"))]
    yield from (f"{wheel.name} holds {name}" for name in foreign)


def build(repository: str) -> list[Path]:
    """Build source archive and wheels into dist/ from the files that git knows, and return all of them."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(tree)], check=True)
        for folder in ("", ZOO):
            readme = tree / folder / "README.md"
            readme.write_text(with_addresses(readme.read_text("utf-8"), repository, __version__, folder), "utf-8")
        project = tree / "pyproject.toml"
        project.write_text(with_project_addresses(project.read_text("utf-8"), repository, __version__), "utf-8")
        for old in _archives():
            old.unlink()
        command = [sys.executable, "-m", "build", "--outdir", str(DIST)]
        subprocess.run([*command, str(tree)], check=True, capture_output=True)
        subprocess.run([*command, "--wheel", str(tree / ZOO)], check=True, capture_output=True)
    return _archives()


def _archives() -> list[Path]:
    return sorted(path for name in ("astroedge", "astroedge_zoo") for path in DIST.glob(f"{name}-{__version__}*"))


def main() -> int:
    """Build, check and say what is left to be done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("repository", help="the address where the repository will be public, https://…")
    repository = parser.parse_args().repository.rstrip("/")
    if not repository.startswith("https://"):
        parser.error("give the repository's address: make release-check REPOSITORY=https://…")
    built = build(repository)
    archives = list(map(str, built))
    problems = [
        *unreleased(
            (ROOT / "CHANGELOG.md").read_text("utf-8"), (ROOT / "CITATION.cff").read_text("utf-8"), __version__
        ),
        *(problem for path in built if path.suffix == ".whl" for problem in problems_of(path, __version__)),
    ]
    if subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *archives], check=False).returncode:
        problems.append("twine does not take the archives, see above")
    sys.stdout.writelines(f"{line}\n" for line in ("Built:", *archives))
    sys.stdout.writelines(f"Not ready: {line}.\n" for line in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
