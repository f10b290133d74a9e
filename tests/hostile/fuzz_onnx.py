"""ONNX files that were changed, in their bytes and in their fields: inspected, exported, and some of them compiled."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import helper

from tests.hostile.attempts import attempt, warm
from tests.hostile.mutations import mutate
from tests.hostile.tally import Tally, run_alone
from tests.support.foreign_onnx import model_of, value
from tests.support.graphs import recurrent_net

COUNT = 800
COMPILED = 0.05  # of the graphs that are read; a compile takes seconds
INTEGERS = (0, 1, -1, 2, 3, 7, 11, 16, 255, 2**31 - 1, 2**31, 2**40, 2**62, -(2**62), 2**63 - 1, -(2**63))
TEXTS = ("", "x", "h", "y", "state.x", "next.x", "Loop", "If", "Identity", "MatMul", "zwei\nzeilen", "\x1b[31mrot", "ß")
TEXTS += (
    "a" * 5000,
    "com.microsoft",
    "ai.onnx.ml",
    "../weights.bin",
    "/dev/zero",
    "fifo",
    "Scan",
    "Random",
    "QLinearMatMul",
)
FLOATS = (0.0, -0.0, 1e38, -1e38, float("nan"), float("inf"), 1e-45)
EXPORT = ("--state", "h=g", "-o", "made.onnx", "--check-ticks", "3")
COMPILE = ("-o", "made.astro", "--check-ticks", "3")


def foreign() -> onnx.ModelProto:
    """Someone's recurrent step, with operators that export rewrites."""
    random_ = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["current"], transB=1),
        helper.make_node("MatMul", ["h", "r"], ["recurrent"]),
        helper.make_node("Add", ["current", "recurrent"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["g"]),
        helper.make_node("Slice", ["g", "starts", "ends", "axes"], ["part"]),
        helper.make_node("Reshape", ["part", "shape"], ["bent"]),
        helper.make_node("Greater", ["bent", "limit"], ["fires"]),
        helper.make_node("Cast", ["fires"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    stored = {
        "w": random_.normal(size=(8, 4)).astype(np.float32),
        "r": random_.normal(size=(8, 8)).astype(np.float32),
        "b": np.zeros(8, np.float32),
        **{"starts": np.array([2]), "ends": np.array([6]), "axes": np.array([1]), "shape": np.array([1, 2, 2])},
        "limit": np.array(0.1, np.float32),
    }
    return model_of(
        nodes, [value("x", [1, 4]), value("h", [1, 8])], [value("y", [1, 2, 2]), value("g", [1, 8])], **stored
    )


def fuzz(count: int, seed: int) -> list[Tally]:
    """So many changed graphs through inspect or export; some of those that are read through compile."""
    warm()
    random_ = random.Random(seed)
    read, compiled = Tally("ONNX graphs"), Tally("ONNX graphs compiled")
    sources = {"inspect": recurrent_net().model, "export": foreign()}
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name)
        for number in range(count):
            command = random_.choice(list(sources))
            (folder / "net.onnx").write_bytes(changed(sources[command], random_))
            case = f"case {number} of seed {seed}"
            found = attempt([command, "net.onnx", *(EXPORT if command == "export" else ())], folder)
            read.add(f"{command}, {case}", found)
            if found.kind == "done" and random_.random() < COMPILED:
                graph = "net.onnx" if command == "inspect" else "made.onnx"
                compiled.add(f"compile after {command}, {case}", attempt(["compile", graph, *COMPILE], folder))
            for path in (*folder.glob("made*/*"), folder / "made.onnx"):
                path.unlink(missing_ok=True)
    return [read, compiled]


def changed(model: onnx.ModelProto, random_: random.Random) -> bytes:
    """The model's bytes, changed as bytes or after some of its fields were."""
    if random_.random() < 0.4:
        return mutate(model.SerializeToString(), random_)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        change_field(copy, random_)
    return copy.SerializeToString()


def change_field(message: Message, random_: random.Random) -> None:
    """Change one field somewhere inside a message: mostly deep inside."""
    fields = [(field, found) for field, found in message.ListFields()]
    inner = [(field, found) for field, found in fields if field.type == FieldDescriptor.TYPE_MESSAGE]
    if inner and random_.random() < 0.85:
        field, found = random_.choice(inner)
        many = isinstance(found, Message) is False
        if many and random_.random() < 0.15:
            _change_list(found, random_)
        else:
            change_field(random_.choice(list(found)) if many else found, random_)
        return
    field = random_.choice(list(message.DESCRIPTOR.fields))
    found = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        random_.choice((lambda: message.ClearField(field.name), lambda: _grow(found)))()
    elif hasattr(found, "append"):
        _change_list(found, random_, lambda: odd(field, random_))
    else:
        setattr(message, field.name, odd(field, random_))


def _grow(found: Any) -> None:
    """A message that is there and empty."""
    if hasattr(found, "add"):
        found.add()
    else:
        found.SetInParent()


def _change_list(found: Any, random_: random.Random, make: Any = None) -> None:
    """Remove, double, move or, with `make`, add and replace an element."""
    kind = random_.randrange(5)
    if make is not None and (kind > 2 or not len(found)):
        if kind == 3 or not len(found):
            found.append(make())
        else:
            found[random_.randrange(len(found))] = make()
    elif len(found):
        place = random_.randrange(len(found))
        item = found[place]
        if kind == 0:
            del found[place]
        else:
            found.insert(random_.randrange(len(found) + 1), item) if kind == 1 else found.append(item)


def odd(field: FieldDescriptor, random_: random.Random) -> Any:
    """A value of a field's type that it seldom has."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return random_.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random_.choice((b"", b"\xff", random_.randbytes(7), random_.randbytes(1000), bytes(4)))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random_.choice(FLOATS)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random_.choice([item.number for item in field.enum_type.values])
    fitting = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64),
    }
    low, high = fitting.get(field.cpp_type, (-(2**63), 2**63))
    return random_.choice([number for number in INTEGERS if low <= number < high])


if __name__ == "__main__":
    run_alone(fuzz, COUNT)
