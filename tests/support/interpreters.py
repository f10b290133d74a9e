"""Fresh Python interpreters, for tests of what code imports and of what it does where packages are missing.

An interpreter may load modules before it runs anything, as Debian's own loads `sitecustomize` and what that asks for.
Those are never taken for what the code imported, and never stand in for a package that is hidden.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.places import ROOT

# A finder that stands before all others and hides every package but those allowed.
ONLY = """
import sys
allowed = {{*sys.stdlib_module_names, "__main__", "astroedge", {names}}}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
for name in list(sys.modules):
    if name.partition(".")[0] not in allowed:
        del sys.modules[name]
sys.meta_path.insert(0, Hide())
"""

BARE = "import sys\nbare = set(sys.modules)\n"
LOADED = """
print(*{name.partition(".")[0] for name in set(sys.modules) - bare} - set(sys.stdlib_module_names))
"""


def run_with_only(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which no package can be imported but the named ones and astroedge."""
    command = [sys.executable, "-c", ONLY.format(names=", ".join(map(repr, packages))) + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def packages_loaded_by(code: str, *arguments: str | Path) -> set[str]:
    """The packages outside the standard library that code loads in a fresh interpreter, where it must succeed."""
    command = [sys.executable, "-c", naming_packages(code), *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return packages_named(result.stdout)


def naming_packages(code: str) -> str:
    """The code, followed by a line of output that names the packages it loaded."""
    return BARE + code + LOADED


def packages_named(output: str) -> set[str]:
    """The packages that the last line of output names."""
    return set(output.splitlines()[-1].split())
