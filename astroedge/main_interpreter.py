"""Whether this code runs in the main interpreter of its process: NumPy, signals and forks are for that one alone."""

from __future__ import annotations

from astroedge.errors import AstroEdgeError


def refuse_subinterpreter() -> None:
    """Raise AstroEdgeError in any other interpreter than the first of the process."""
    if in_subinterpreter():
        raise AstroEdgeError(
            "AstroEdge runs in the main interpreter of a process only: NumPy supports no other, and signals and forks "
            "are not seen there. Use threads, each with its own session, or processes."
        )


def in_subinterpreter() -> bool:
    """Whether the caller's interpreter was started by another one."""
    try:
        import ctypes

        state = ctypes.pythonapi.PyInterpreterState_Get
        number = ctypes.pythonapi.PyInterpreterState_GetID
    except ImportError as error:  # Python 3.12's ctypes, in an interpreter with a lock of its own
        return "subinterpreter" in str(error)
    except AttributeError:  # no CPython
        return False
    state.restype, number.restype, number.argtypes = ctypes.c_void_p, ctypes.c_int64, (ctypes.c_void_p,)
    return int(number(state())) != 0
