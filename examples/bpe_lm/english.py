"""English text that comes with Python and with packages of AstroEdge's own environment, so that nothing is downloaded.

A document is one of Python's documentation topics, or what a source file says between triple quotes. Its paragraphs
are kept where they are prose, a line each; code, tables, headings and signatures are left out. Every paragraph counts
once: one that a held-out document has is removed from the training text, and one that repeats is kept where it stands
first. A document is held out by a hash of its name alone, which for topics is that of `examples/char_lm`, whose own
held-out topics include these.

The text is that of the versions in `constraints.txt`; `Corpus.fingerprint` tells it from that of others.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from pydoc_data.topics import topics

HELD_OUT_BELOW = 0.03
TUNING_ABOVE = 0.985
TOPICS, LIBRARY = "Python's documentation topics", "Python's standard library"
PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "sympy", "mpmath", "networkx", "matplotlib"),
    *("torch", "apache-tvm", "onnx", "onnxscript", "onnxruntime", "mypy", "pytest"),
)
SOURCES = (TOPICS, LIBRARY, *PACKAGES)

# Folders of tests, and of what is somebody else's under a licence of its own.
LEFT_OUT = re.compile(
    r"_?(tests?|testing|idlelib|lib2to3|turtledemo|pydoc_data|site-packages|dist-packages|vendor(ed)?|extern(als?)?)"
)
QUOTED = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.DOTALL)
# Prompts, directives, what underlines a title, calls, operators.
CODE = re.compile(r">>>|\.\. |[=\-~#*_^+]{4}|\\\\|[{}|]|\b(def|import|return) \w+\(|\s{3}| = |==|--|//|->")
# Characters of a paragraph, and the share of them that are letters, blanks, commas or stops.
SHORTEST, LETTERS = 40, 0.9


@dataclass(frozen=True)
class Corpus:
    """Texts, one a document: a line for each paragraph, and an empty line at the end.

    `table` has a row for each source: its name and version, its licence, and its bytes on either side.
    """

    training: list[str]
    held_out: list[str]
    table: list[tuple[str, str, int, int]]

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that are the same for the same text on the same sides."""
        both = "\0".join("".join(side) for side in (self.training, self.held_out))
        return hashlib.sha256(both.encode()).hexdigest()[:16]


def load_corpus(sources: Iterable[str] = SOURCES, tuning: bool = False) -> Corpus:
    """The text of the installed packages, split; a few seconds for all of them.

    With `tuning`, nothing that is held out is used: a slice of the training documents takes its place, for choosing
    sizes and rates.
    """
    documents = [(source, name, list(dict.fromkeys(parts))) for source in sources for name, parts in read(source)]
    hidden = {name for _, name, _ in documents if name_fraction(name) < HELD_OUT_BELOW}
    judged = {name for _, name, _ in documents if name_fraction(name) >= TUNING_ABOVE} if tuning else hidden
    training, held_out = list[str](), list[str]()
    sizes: dict[str, list[int]] = {source: [0, 0] for source in sources}
    seen = {part for _, name, parts in documents if tuning and name in hidden for part in parts}
    for side, texts in enumerate((held_out, training)):
        for source, name, parts in documents:
            if (name in judged) is bool(side) or (tuning and name in hidden):
                continue
            kept = [part for part in parts if part not in seen]
            seen.update(kept)
            if kept:
                texts.append("\n".join(kept) + "\n\n")
                sizes[source][1 - side] += len(texts[-1])
    table = [(*described(source), trained, kept) for source, (trained, kept) in sizes.items()]
    return Corpus(training, held_out, table)


def read(source: str) -> Iterator[tuple[str, list[str]]]:
    """The documents of a source in the order of their names, each as the paragraphs of prose in it."""
    if source == TOPICS:
        yield from ((name, list(filter(is_prose, paragraphs(topics[name])))) for name in sorted(topics))
        return
    for name, path in sorted(_library_files() if source == LIBRARY else _package_files(source)):
        quoted = QUOTED.findall(path.read_text(encoding="utf-8", errors="replace"))
        yield name, [part for double, single in quoted for part in filter(is_prose, paragraphs(double or single))]


def paragraphs(text: str) -> Iterator[str]:
    """Runs of lines of one indentation, joined by blanks: in a docstring, what is said of each parameter is one."""
    run, level = list[str](), -1
    for line in [*inspect.cleandoc(text).split("\n"), ""]:
        words, indentation = line.split(), len(line) - len(line.lstrip())
        if run and (not words or indentation != level):
            yield " ".join(run)
            run = []
        run, level = [*run, " ".join(words)] if words else [], indentation


def is_prose(paragraph: str) -> bool:
    """Whether it begins and ends as a sentence does, in ASCII, and is made of words."""
    if len(paragraph) < SHORTEST or not paragraph.isascii() or CODE.search(paragraph):
        return False
    letters = sum(character.isalpha() or character in " ,." for character in paragraph)
    return paragraph[0].isupper() and paragraph[-1] in ".:!?)" and letters >= LETTERS * len(paragraph)


def name_fraction(name: str) -> float:
    """Where a document's name falls in [0, 1): the first 8 bytes of its SHA-256 as a fraction."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def described(source: str) -> tuple[str, str]:
    """A source with its version, and the licence its metadata gives."""
    if source not in PACKAGES:
        return f"{source}, {sysconfig.get_python_version()}", "PSF-2.0"
    about = metadata.metadata(source)
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    licence = about["License-Expression"] or ", ".join(line.rpartition(" :: ")[2] for line in classifiers)
    return f"{source} {metadata.version(source)}", licence or "not said"


def _package_files(distribution: str) -> Iterator[tuple[str, Path]]:
    """The Python files of an installed distribution by their names in its wheel."""
    try:
        files = metadata.files(distribution)
    except metadata.PackageNotFoundError:
        raise ValueError(f"{distribution} is not installed; its documentation is part of the text.") from None
    if files is None:
        raise ValueError(f"The installation of {distribution} does not say which files it has; install it with pip.")
    for file in files:
        if file.suffix == ".py" and not any(LEFT_OUT.fullmatch(folder) for folder in file.parts[:-1]):
            yield file.as_posix(), Path(str(file.locate()))


def _library_files() -> Iterator[tuple[str, Path]]:
    """The Python files of the standard library by their names in it."""
    root = Path(sysconfig.get_path("stdlib"))
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not LEFT_OUT.fullmatch(name)]
        paths = (Path(folder, name) for name in files if name.endswith(".py"))
        yield from ((path.relative_to(root).as_posix(), path) for path in paths)
