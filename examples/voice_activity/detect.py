"""Somebody else's voice-activity detector as a bundle: exported, compiled, verified, and run beside ONNX Runtime.

pip install --no-deps silero-vad
python examples/voice_activity/detect.py
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

import astroedge
from sound import CONTEXT, FRAME, RATE, Samples, cut_frames, make_sound

FILE = "silero_vad_op18_ifless.onnx"


def detector_path() -> Path:
    """The ONNX file in the installed package, which itself is not imported: it wants torchaudio."""
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise SystemExit("silero-vad is not installed: pip install --no-deps silero-vad")
    return Path(spec.origin).parent / "data" / FILE


def original_probabilities(path: Path, frames: Samples) -> Samples:
    """The original stepped in ONNX Runtime, its state carried by hand."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the file holds constants that nothing reads, and each would be a warning
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    state, found = np.zeros((2, 1, 128), np.float32), []
    for frame in frames:
        feeds = {"input": frame, "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(["output", "stateN"], feeds)
        found.append(probability)
    return np.stack(found)


def main() -> None:
    """Make the bundle, run it and print how far it is from the original."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("vad.astro"), help="where the bundle goes")
    arguments = parser.parse_args()
    sound, voiced = make_sound()
    frames = cut_frames(sound)
    graph = astroedge.export_onnx(
        detector_path(),
        {"state": "stateN"},
        constants={"sr": RATE},
        shapes={"input": (1, CONTEXT + FRAME)},
        batch=1,
        examples=[{"input": frame} for frame in frames],
    )
    print(f"Export: {graph.parity.summary() if graph.parity else 'not compared'}.")
    astroedge.compile(graph, target="native").save(arguments.output)
    with astroedge.load(arguments.output) as session:
        probabilities = session.run(input=frames)["output"]
        session.reset()
        report = astroedge.verify(session, graph, steps=200)
    print(report.text())
    difference = np.max(np.abs(probabilities - original_probabilities(detector_path(), frames)))
    inside = voiced[: len(frames) * FRAME].reshape(-1, FRAME).mean(axis=1) > 0.5
    print(f"{len(frames)} ticks of {1000 * FRAME // RATE} ms; largest difference of a probability {difference:.1e}")
    print(f"Mean probability of speech: {probabilities[inside].mean():.3f} in syllables, ", end="")
    print(f"{probabilities[~inside].mean():.3f} in noise")


if __name__ == "__main__":
    main()
