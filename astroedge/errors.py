"""Every error AstroEdge raises on purpose.

    AstroEdgeError                 exit code 1
    ├── MissingDependencyError     3   a host package is not installed; the message names the extra
    ├── ExportError                10  the model cannot become a step graph
    │   ├── NoStateError           11  nothing in the model carries over between steps
    │   ├── UnsupportedOpError     12  an operator has no importer, no exact kernel or no meaning here
    │   └── ParityError            13  the exported or compiled step differs from its reference
    ├── GraphError                 20  a step graph is damaged or breaks its contract
    ├── TargetError                30  unknown or invalid target or board file
    ├── CompileError               40  the step cannot be compiled
    │   └── LinkError              41  no linker, or the linker failed
    ├── BundleError                50  a bundle is missing, damaged or of an unknown version
    │   └── IncompatibleError      51  the bundle was made for another CPU or ABI
    ├── InputError                 60  wrong name, shape, dtype, NaN or an index out of range
    │   └── UndefinedTickError     61  the graph has no result for these inputs
    ├── VerificationError          70  a bundle does not do what its golden trace or its graph says
    └── DeviceError                80  a board cannot be reached, or cannot do what it is asked

A message says what happened, why that usually happens and what to do. The library raises; only the command line
catches, prints one line and exits with the class's code.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without what a terminal would act on: names in a file are whoever's who wrote it."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class AstroEdgeError(Exception):
    """Base of every error this package raises on purpose; `exit_code` is what the command line exits with."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        """An error with a message of one line."""
        super().__init__(printable(message))


class MissingDependencyError(AstroEdgeError):
    """A package that only host-side work needs is not installed."""

    exit_code = 3


class ExportError(AstroEdgeError):
    """A model cannot be turned into a step graph."""

    exit_code = 10


class NoStateError(ExportError):
    """Nothing in the model carries over from one step to the next."""

    exit_code = 11


class UnsupportedOpError(ExportError):
    """An operator cannot be carried: no importer, no exact kernel, or a meaning that is lost in a step."""

    exit_code = 12


class ParityError(ExportError):
    """The exported or compiled step computes something other than its reference."""

    exit_code = 13


class GraphError(AstroEdgeError):
    """A step graph is damaged or breaks its contract."""

    exit_code = 20


class TargetError(AstroEdgeError):
    """A target or board file is unknown or invalid."""

    exit_code = 30


class CompileError(AstroEdgeError):
    """A step graph cannot be compiled for a target."""

    exit_code = 40


class LinkError(CompileError):
    """No linker was found, or the one that was found failed."""

    exit_code = 41


class BundleError(AstroEdgeError):
    """A bundle is missing, damaged or of an unknown version."""

    exit_code = 50


class IncompatibleError(BundleError):
    """A bundle was made for another processor, instruction set or ABI."""

    exit_code = 51


class InputError(AstroEdgeError):
    """An input has a wrong name, shape, dtype or value; the session's state is unchanged."""

    exit_code = 60


class UndefinedTickError(InputError):
    """The graph is not defined for a tick's inputs: ONNX Runtime refuses to compute it."""

    exit_code = 61


class VerificationError(AstroEdgeError):
    """A bundle does not do what its golden trace or its step graph says."""

    exit_code = 70


class DeviceError(AstroEdgeError):
    """A board cannot be reached, has no room, no rights or no way to run a step, or the connection was lost."""

    exit_code = 80
