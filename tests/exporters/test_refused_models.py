"""Models that cannot become a step: each is one clear line that says what, why and what to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from astroedge.errors import ExportError, NoStateError, ParityError, UnsupportedOpError
from astroedge.exporters import export

X = torch.ones(1, 4) / 2
WORLD: dict[str, Tensor] = {}


class Leaky(nn.Module):
    """A good model: the refused ones derive from it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.v = torch.zeros(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.5 * self.v + self.drive(x)
        return self.v + 0.0

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(x)


class Stateless(nn.Module):
    """Keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class OnlyRecords(Stateless):
    """Writes down its output and never looks at it again."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.fc(x)
        return self.last + 0.0


class LoopsOverTime(Stateless):
    """Runs five ticks from zeros in every call."""

    def forward(self, x: Tensor) -> Tensor:
        self.v = torch.zeros(1, 4)
        for _ in range(5):
            self.v = 0.5 * self.v + self.fc(x)
        return self.v + 0.0


class Counts(Leaky):
    """Counts ticks in a Python int."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Module()
        self.unit.ticks = 0  # type: ignore[assignment]

    def drive(self, x: Tensor) -> Tensor:
        self.unit.ticks += 1  # type: ignore[operator]
        return self.fc(x)


class KeepsHistory(Leaky):
    """Appends every input to a list."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Tensor] = []

    def drive(self, x: Tensor) -> Tensor:
        self.history.append(x)
        return self.fc(x)


class Grows(Leaky):
    """Concatenates every input to a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.zeros(1, 4)

    def drive(self, x: Tensor) -> Tensor:
        self.seen = torch.cat([self.seen, x])
        return self.seen.sum(0, keepdim=True)


class Learns(Leaky):
    """Changes a weight in every step."""

    def drive(self, x: Tensor) -> Tensor:
        self.fc.weight.mul_(0.99)
        return self.fc(x)


class LearnsBehindData(Leaky):
    """Changes its weights in every tick, where PyTorch counts no version."""

    def drive(self, x: Tensor) -> Tensor:
        if type(x) is Tensor:
            self.fc.weight.data.add_(0.001)
        return self.fc(x)


class Branches(Leaky):
    """Decides in Python on a tensor's value."""

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(x) if x.sum() > 0 else x


class WritesRow(Leaky):
    """Writes to a row that an index without dimensions says, which PyTorch reads as a Python number."""

    def drive(self, x: Tensor) -> Tensor:
        rows = torch.zeros(3, 4)
        rows[(x.sum() > 0).long()] = x[0]
        return self.fc(x + rows.sum(0))


class UsesData(Leaky):
    """Goes around autograd with `.data`."""

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(x.data)


class UsesNumPy(Leaky):
    """Computes in NumPy."""

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(torch.from_numpy(x.numpy() * 2))


class Crashes(Leaky):
    """Kills its process while it is traced."""

    def drive(self, x: Tensor) -> Tensor:
        if type(x) is not Tensor:  # while tracing
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.fc(x)


class Behind(Leaky):
    """Passes its drive through a sub-module."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def drive(self, x: Tensor) -> Tensor:
        return self.inner(self.fc(x))


class Noise(nn.Module):
    """Adds random numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class DropsAlways(Leaky):
    """Drops out in evaluation mode, too."""

    def drive(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.fc(x), 0.5)


class Chooses(Leaky):
    """Uses torch.cond."""

    def drive(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2.0, lambda y: y * 3.0, (x,))  # type: ignore[no-untyped-call]


class Bessel(nn.Module):
    """The Bessel function of the first kind."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


class Selects(Leaky):
    """Selects as many elements as the data says."""

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(x)[x > 0].max().reshape(1, 1)


class Fails(Leaky):
    """Has a bug."""

    def drive(self, x: Tensor) -> Tensor:
        return self.fc(x[:, :3])


class ReturnsNothing(Leaky):
    """Updates its state and returns None."""

    def forward(self, x: Tensor) -> None:  # type: ignore[override]
        self.v = 0.5 * self.v + x


class ReturnsNumber(Leaky):
    """Returns a Python float beside its output."""

    def forward(self, x: Tensor) -> tuple[Tensor, float]:  # type: ignore[override]
        return super().forward(x), 1.5


class StartsElsewhere(Leaky):
    """Cold memory is None, but the first tick behaves as if it had been 1."""

    def __init__(self) -> None:
        super().__init__()
        self.v = None  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.5 * (torch.ones(1, 4) if self.v is None else self.v) + self.fc(x)
        return self.v + 0.0


class HidesInAGlobal(Leaky):
    """State outside all modules, written with values that the tracer does not see as tensors of its own."""

    def __init__(self) -> None:
        super().__init__()
        WORLD["scale"] = torch.ones(())

    def drive(self, x: Tensor) -> Tensor:
        if type(x) is Tensor:
            WORLD["scale"] = WORLD["scale"] * 0.5
        return self.fc(x) * WORLD["scale"]


REFUSED: list[tuple[Callable[[], nn.Module], type[ExportError], str]] = [
    (Stateless, NoStateError, r"Nothing carries over .*Stateless\.forward.*none"),
    (OnlyRecords, NoStateError, r"'last', which nothing reads"),
    (LoopsOverTime, NoStateError, r"loop over time .* must be taken out: export what stands inside the loop\.$"),
    (Counts, ExportError, r"Module 'unit' \(Module\) keeps a Python int that changes every tick, 'unit\.ticks'"),
    (KeepsHistory, ExportError, r"^KeepsHistory grows.*'history\.1' comes or goes.*fixed number of tensors"),
    (Grows, ExportError, r"^Grows changes its state 'seen' from float32 \[3, 4\] to float32 \[4, 4\].*torch\.roll"),
    (LearnsBehindData, ExportError, r"^Module 'fc' \(Linear\) changes its parameter 'fc\.weight'.*register_buffer"),
    (Learns, ExportError, r"^Module 'fc' \(Linear\) changes its parameter 'fc\.weight'.*register_buffer"),
    (
        Branches,
        ExportError,
        r"^Branches decides in Python on .* a tensor with `if` at test_refused_models\.py:\d+",
    ),
    (WritesRow, ExportError, r"decides in Python .* an index of shape \[1\]"),
    (
        UsesData,
        ExportError,
        r"^UsesData leaves what PyTorch can trace with \.data at test_refused_models\.py:\d+.*detach\(\)",
    ),
    (UsesNumPy, ExportError, r"^UsesNumPy leaves .* with \.numpy\(\) at test_refused_models\.py:\d+.*torch functions"),
    (Crashes, ExportError, r"crashed \(SIGSEGV\) while it traced the model at test_refused_models\.py:\d+"),
    (lambda: Behind(Noise()), UnsupportedOpError, r"Module 'inner' \(Noise\) draws random numbers \(aten\.rand_like\)"),
    (DropsAlways, UnsupportedOpError, r"draws random numbers .*model\.eval\(\)"),
    (Chooses, UnsupportedOpError, r"control flow .*cond"),
    (
        lambda: Behind(Bessel()),
        UnsupportedOpError,
        r"Module 'inner' \(Bessel\) uses .*bessel_j0.* no ONNX form",
    ),
    (Selects, UnsupportedOpError, r"NonZero.*depends on data"),
    (
        Fails,
        ExportError,
        r"Fails\.forward fails on the example in Module .fc. \(Linear\) \(RuntimeError: mat1 and mat2",
    ),
    (ReturnsNothing, ExportError, r"returns nothing"),
    (ReturnsNumber, ExportError, r"1 is a float"),
    (StartsElsewhere, ParityError, r"At tick 1 the exported step's .*starts a state from another value"),
    (HidesInAGlobal, ExportError, r"outside the modules: 'scale' of the global 'WORLD', which HidesInAGlobal uses"),
]


@pytest.mark.parametrize(("model", "kind", "message"), REFUSED)
def test_model_is_refused_in_one_line(model: Callable[[], nn.Module], kind: type[ExportError], message: str) -> None:
    """Each model is refused with the right class of error, and one line that names the culprit."""
    torch.manual_seed(0)
    with pytest.raises(ExportError, match=message) as caught:
        export(model().eval(), X)
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()


def test_nothing_is_left_behind_by_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused export leaves no scratch file and no changed model."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = Grows().eval()
    with pytest.raises(ExportError):
        export(model, X)
    assert list(tmp_path.iterdir()) == []
    assert model.seen.shape == (1, 4)
