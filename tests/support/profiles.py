"""Profiles with everything in them, made of a seed alone: the same numbers on every machine."""

from __future__ import annotations

import math
import random
from typing import Any

MODULES = ("embedding", "blocks.0.attention", "blocks.0.mlp", "blocks.1.attention", "blocks.1.mlp", "head")
LARGE_TIMES = (0.7, 1.0, 1.02, 1.1, 1.2, 1.6)


def timing(middle: float, count: int = 1000) -> dict[str, Any]:
    """The nine numbers of steps with a median, in nanoseconds."""
    shares = {"mean": 1.04, "std": 0.11, "min": 0.93, "p50": 1.0, "p90": 1.08, "p95": 1.15, "p99": 1.6, "max": 9.5}
    return {"count": count} | {name: round(middle * share, 1) for name, share in shares.items()}


def full_profile(
    model: str = "speech", target: str = "raspberry-pi-5", seed: int = 1, scale: float = 1.0
) -> dict[str, Any]:
    """The JSON of a profile that has every key; `scale` makes all times longer."""
    draw = random.Random(seed)
    middle = 84_000 * scale
    return plain_profile(model, target, seed, scale) | {
        "kernels": _kernels(draw, middle),
        "repeats": [
            {"p50": middle * share, "mean": middle * share * 1.04, "native": middle * share * 0.8}
            for share in (1.0, 1.01, 0.995, 1.02, 1.004)
        ],
        "native": {"p50": middle * 0.8, "min": middle * 0.79, "max": middle * 0.9},
        "paced": _paced(middle),
        "timeline": _timeline(draw, middle),
        "energy": {
            **{"joules_per_step": 3.1e-4 * scale, "error": 2.4e-5 * scale, "idle_watts": 2.72, "busy_watts": 6.41},
            "steps": 600_000,
            **{"seconds": 60.0, "sensor": "PMIC, 12 rails: the whole board", "label": "estimated"},
        },
        "host": {
            **{"name": f"board-{seed}", "date": "2026-11-30T01:54:11Z", "system": "Linux 6.12.20", "python": "3.13.5"},
            **{"numpy": "2.4.6", "astroedge": "0.1.0", "governor": "ondemand", "load": 0.31},
        },
        "digests": dict.fromkeys(("bundle", "library", "weights", "manifest"), f"{seed:x}" * 64),
        "warnings": ["The governor is ondemand: the clock follows the load. Set `performance` for steady times."],
        "raster": _rasters(draw),
    }


def plain_profile(
    model: str = "speech", target: str = "raspberry-pi-5", seed: int = 1, scale: float = 1.0
) -> dict[str, Any]:
    """The JSON of a profile with the keys alone that every profile has."""
    draw = random.Random(seed)
    middle = 84_000 * scale
    return {
        **{"format": "astroedge-profile", "version": 1, "model": model, "target": target, "precision": "int8"},
        **{"graph_sha256": "5f" * 32, "inputs": "drawn from seed 7", "warmup": 100, "threads": 1},
        "machine": {
            **{"board": "Raspberry Pi 5 Model B Rev 1.0", "cpu": "Cortex-A76", "architecture": "aarch64", "cores": "4"},
            **{"governor": "ondemand", "kernel": "Linux 6.12.20", "python": "3.13.5"},
        },
        "step": timing(middle),
        "readings": [
            _reading("load time", 8.2e6, "ns", "from its folder, file cache as found, digests checked"),
            _reading("first step", middle * 4, "ns", "right after loading"),
            _reading("added memory", 1_912_832 * scale, "bytes", "resident memory, after less before"),
            _reading("throughput", 1e9 / (middle * 0.8), "steps/s", "Session.run over 1000 steps, median of 5"),
            _reading("peak memory", 39_400_000, "bytes", "resident memory of the whole process"),
            _reading("bundle size", 655_000, "bytes", "all files"),
            _reading("weights size", 571_000, "bytes", "weights.bin"),
            {"name": "energy per step", "value": None, "unit": "J", "label": "unavailable", "note": "no RAPL counters"},
            _reading("temperature cpu-thermal", 61.2, "°C", "thermal_zone0"),
            _reading("throttling", 0x20000, "bits", "now: none; since boot: frequency capped"),
        ],
        "spikes": [
            {"name": f"{module}.spike", "size": 256 * (index + 1), "rate": 0.02 + 0.03 * index, "export_rate": 0.08}
            for index, module in enumerate(MODULES[1:5])
        ],
        "operations": _operations(),
        "comparison": {
            **{"runtime": "ONNX Runtime", "version": "1.31.1", "rounds": 10, "ours": middle, "theirs": middle * 6.2},
            **{"ratio": 6.2, "lowest": 5.7, "highest": 6.9},
        },
        "samples": [
            int(middle * (1 + draw.expovariate(18)) * (9 if draw.random() < 0.004 else 1)) for _ in range(1000)
        ],
    }


def _reading(name: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "label": "measured", "note": note}


def _operations() -> dict[str, Any]:
    matrices = [
        {
            **{
                "name": f"{module}.weight",
                "kind": "AC" if index in (1, 2, 3) else "MAC",
                "dense": 65_536 * (index + 1),
            },
            **{"effective": 65_536 * (index + 1) * (0.07 if index in (1, 2, 3) else 0.98), "label": "estimated"},
            "note": "zero weights are taken as spread evenly over the rows",
        }
        for index, module in enumerate(MODULES)
    ]
    done = {kind: sum(float(m["effective"]) for m in matrices if m["kind"] == kind) for kind in ("AC", "MAC")}  # type: ignore[arg-type]
    dense = sum(int(str(m["dense"])) for m in matrices)
    return {
        **{"effective_acs": done["AC"], "effective_macs": done["MAC"], "dense": dense, "label": "estimated"},
        "matrices": matrices,
    }


def _kernels(draw: random.Random, middle: float) -> dict[str, Any]:
    items = []
    for index in range(20):
        kind = ("event", "dense", "other")[index % 3]
        time = middle * 0.3 / (1 + index) * draw.uniform(0.8, 1.2)
        moved = time * draw.uniform(1.5, 9)
        items.append(
            {
                **{"name": f"fused_kernel_{index}", "module": MODULES[index % 6] if index < 18 else "", "kind": kind},
                **{"operator": "MatMul" if kind != "other" else "Add", "calls": 1, "time": time, "bytes": moved},
                **{"inputs": 256 if kind == "event" else None, "active": 18.2 if kind == "event" else None},
                **{
                    "bandwidth": moved / time * 1e9,
                    "predicted": time * draw.uniform(0.6, 1.4) if kind != "other" else None,
                },
            }
        )
    total = sum(float(item["time"]) for item in items)
    for item in items:
        item["share"] = float(item["time"]) / total
    return {
        "instrumented": {"step": middle * 1.12, "plain": middle, "ratio": 1.12, "sum": total, "clock": 30.0},
        "items": items,
    }


def _paced(middle: float) -> dict[str, Any]:
    return {
        **{"rate": 1000.0, "period": 1e6, "seconds": 60.0, "step": timing(middle * 1.3, 60_000), "missed": 3},
        "wake": timing(58_000, 60_000),
        "peer": {
            **{"runtime": "ONNX Runtime", "version": "1.31.1", "missed": 611},
            **{"step": timing(middle * 7, 60_000), "wake": timing(71_000, 60_000)},
        },
    }


def _timeline(draw: random.Random, middle: float) -> list[dict[str, Any]]:
    points = []
    for second in range(61):
        heat = 84 - 36 * math.exp(-second / 18)
        slowed = heat > 80.5
        share = (1.55 if slowed else 1.0) * draw.uniform(0.98, 1.02)
        points.append(
            {
                **{"t": float(second), "p50": middle * share, "max": middle * share * draw.choice(LARGE_TIMES) * 1.7},
                **{
                    "clock": 1.5e9 if slowed else 2.4e9,
                    "temperature": round(heat, 1),
                    "throttled": slowed,
                    "load": 1.02,
                },
            }
        )
    return points


def _rasters(draw: random.Random) -> list[dict[str, Any]]:
    found = []
    for index, module in enumerate(MODULES[1:3]):
        size, ticks = 256 * (index + 1), 300
        neurons = [place * size // 64 for place in range(64)]
        rates = [draw.betavariate(1, 12) * (2 if index else 1) for _ in neurons]
        events = [
            [t, n]
            for t in range(ticks)
            for n, rate in enumerate(rates)
            if draw.random() < rate * (1 + math.sin(t / 20))
        ]
        counts = [0] * ticks
        for tick, _ in events:
            counts[tick] += size // 64
        is_seen = index == 0
        found.append(
            {
                **{"name": f"{module}.spike", "ticks": ticks, "neurons": neurons if is_seen else [], "counts": counts},
                **{
                    "events": events if is_seen else [],
                    "source": f"output {module}" if is_seen else "they stay inside",
                },
            }
        )
    return found
