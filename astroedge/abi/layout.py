"""astro_abi.h in Python: its codes and its structures, member for member.

A test compiles the header and compares every code, member, size and offset with this file.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char, c_char_p, c_double, c_int64, c_uint32, c_uint64, c_void_p

from astroedge.abi.limits import MAX_THREADS

OK, STOPPED = 0, 1
E_CALL, E_ALIGNMENT, E_NAN, E_RANGE, E_STRIDE, E_TICK = -1, -2, -3, -4, -5, -6
E_DEVICE, E_DRIVER, E_NO_DEVICE, E_ORDINAL, E_CAPABILITY, E_DEVICE_MEMORY, E_FORKED = -7, -8, -9, -10, -11, -12, -13
STATE, WORKSPACE = 0, 1  # what astro_read_device reads

# Names of codes that count from 0.
DTYPES = (
    *("bool", "int8", "uint8", "int32", "int64", "float16", "float32"),
    *("int16", "uint16", "uint32", "uint64", "float64"),
)
INITIALS = ("fill", "weights")
DRAWS = ("index", "spike", "uniform", "values")

DEVICES = ("cuda",)  # what astro_info.device is where it is not ""


class AstroValue(ctypes.Structure):
    """astro_value."""

    _fields_ = (("below", c_uint64), ("bits", c_uint64))


class AstroField(ctypes.Structure):
    """astro_field."""

    _fields_ = (
        ("name", c_char_p),
        ("shape", POINTER(c_int64)),
        ("dtype", c_uint32),
        ("rank", c_uint32),
        ("offset", c_uint64),
        ("nbytes", c_uint64),
        ("check_nan", c_uint32),
        ("check_range", c_uint32),
        ("low", c_int64),
        ("high", c_int64),
        ("draw", c_uint32),
        ("initial", c_uint32),
        ("draw_parameter", c_int64),
        ("value_count", c_uint64),
        ("values", POINTER(AstroValue)),
        ("initial_bits", c_uint64),
        ("initial_offset", c_uint64),
    )


class AstroLayout(ctypes.Structure):
    """astro_layout."""

    _fields_ = (("size", c_uint64), ("count", c_uint64), ("fields", POINTER(AstroField)))


class AstroActivity(ctypes.Structure):
    """astro_activity."""

    _fields_ = (("name", c_char_p), ("size", c_uint64), ("offset", c_uint64))


class AstroGoldenTick(ctypes.Structure):
    """astro_golden_tick."""

    _fields_ = (("tick", c_uint64), ("state", c_char_p), ("outputs", c_char_p))


class AstroGolden(ctypes.Structure):
    """astro_golden."""

    _fields_ = (("seed", c_uint64), ("count", c_uint64), ("ticks", POINTER(AstroGoldenTick)))


class AstroInfo(ctypes.Structure):
    """astro_info."""

    _fields_ = (
        ("size", c_uint64),
        ("abi_version", c_uint32),
        ("alignment", c_uint32),
        ("model", c_char_p),
        ("target", c_char_p),
        ("graph_sha256", c_char_p),
        ("weights_sha256", c_char_p),
        ("manifest_sha256", c_char_p),
        ("features", c_char_p),
        ("inputs", AstroLayout),
        ("outputs", AstroLayout),
        ("state", AstroLayout),
        ("weights_size", c_uint64),
        ("workspace_size", c_uint64),
        ("activity_count", c_uint64),
        ("activity", POINTER(AstroActivity)),
        ("golden", AstroGolden),
        ("device", c_char_p),
        ("stamps", c_uint64),
    )


class AstroOpening(ctypes.Structure):
    """astro_opening."""

    _fields_ = (
        ("size", c_uint64),
        ("weights", c_void_p),
        ("ordinal", c_uint32),
        ("wanted_blocks", c_uint32),
        ("device", c_void_p),
        ("memory", c_uint64),
        ("blocks", c_uint32),
        ("capability", c_uint32),
        ("image", c_uint32),
        ("compiled", c_uint32),
        ("driver", c_uint32),
        ("name", c_char * 128),
        ("message", c_char * 512),
    )


class AstroCall(ctypes.Structure):
    """astro_call."""

    _fields_ = (
        ("size", c_uint64),
        ("inputs", c_void_p),
        ("outputs", c_void_p),
        ("state", c_void_p),
        ("weights", c_void_p),
        ("workspace", c_void_p),
        ("steps", c_uint64),
        ("input_stride", c_uint64),
        ("output_stride", c_uint64),
        ("stop", c_void_p),
        ("steps_done", c_uint64),
        ("bad_input", c_uint64),
        ("bad_step", c_uint64),
        ("bad_element", c_uint64),
        ("team", c_void_p),
        ("steps_checked", c_uint64),
        ("device", c_void_p),
        ("timed", c_uint64),
        ("device_seconds", c_double),
        ("stamps", c_void_p),
    )


class AstroTeam(ctypes.Structure):
    """astro_team."""

    _fields_ = (
        ("size", c_uint64),
        ("threads", c_uint32),
        ("unused", c_uint32 * 13),
        ("internal", c_uint64 * (8 + 16 * MAX_THREADS)),
    )


class AstroStreams(ctypes.Structure):
    """astro_streams."""

    _fields_ = (
        ("size", c_uint64),
        ("calls", c_void_p),
        ("call_stride", c_uint64),
        ("statuses", c_void_p),
        ("count", c_uint64),
        ("team", c_void_p),
        ("bad_stream", c_uint64),
        ("unused", c_uint64),
        ("internal", c_uint32 * (16 * MAX_THREADS)),
    )
