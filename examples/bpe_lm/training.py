"""A training run that can be left off at any step and taken up again, with the same weights in the end.

The loss is the cross-entropy of the next token plus a penalty on firing rates outside 5 … 15 %. Matrix products are
computed in bfloat16, in which spikes are exact; weights, membranes and what the optimiser keeps are float32.
"""

from __future__ import annotations

import hashlib
import io
import math
import random
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from astroedge.models import AstroSNN, AstroSNNConfig
from astroedge.replace_file import replace_file

DIGEST = hashlib.sha256().digest_size
LOWEST_RATE, HIGHEST_RATE, RATE_WEIGHT = 0.05, 0.15, 20.0


@dataclass(frozen=True)
class Schedule:
    """How long is trained, on how much at once, and how fast.

    The rate rises to its peak, stays there and falls straight to zero in the last part of the steps, a share `decay` of
    them. So a run that has not begun to fall can still be made longer or shorter.
    """

    steps: int = 9000
    lanes: int = 32
    window: int = 48
    rate: float = 5e-3
    warm_up: int = 100
    decay: float = 0.25
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0

    def factor(self, step: int) -> float:
        """The learning rate's share of its peak."""
        return min((step + 1) / self.warm_up, 1.0, (self.steps - step) / (self.decay * self.steps))

    def leads_on(self, earlier: Schedule, step: int) -> bool:
        """Whether the first `step` steps were as they are here: only `steps` differs, and neither began to fall."""
        same = replace(earlier, steps=self.steps) == self
        falls = min(schedule.steps * (1 - schedule.decay) for schedule in (self, earlier))
        return same and (earlier.steps == self.steps or step <= falls)


class Text:
    """The training documents as tokens, and the windows of any step of a run over them.

    A pass reads every document once in an order of its own, cut into lanes of equal length, of which a step reads a
    window each.
    """

    def __init__(self, documents: list[Tensor], schedule: Schedule) -> None:
        """Hold documents `(tokens,)` of int64; together they fill a window in every lane at the least."""
        self.documents, self.schedule = documents, schedule
        length = (sum(map(len, documents)) - 1) // schedule.lanes
        self.steps_of_pass, self._length, self._pass = length // schedule.window, length, -1
        if not self.steps_of_pass:
            raise ValueError(f"{length} tokens a lane fill no window of {schedule.window}")
        self._lanes = torch.empty(0)

    def window(self, step: int) -> tuple[Tensor, bool]:
        """Tokens `(lanes, window + 1)`, the last of which is only a target, and whether a pass begins."""
        number, place = divmod(step, self.steps_of_pass)
        if number != self._pass:
            order = random.Random(f"{self.schedule.seed}, pass {number}")
            text = torch.cat(order.sample(self.documents, len(self.documents)))
            cuts = [text[lane * self._length :][: self._length + 1] for lane in range(self.schedule.lanes)]
            self._lanes, self._pass = torch.stack(cuts), number
        start = place * self.schedule.window
        return self._lanes[:, start : start + self.schedule.window + 1], place == 0


class Training:
    """A run: what a step changes, and how it is saved and taken up again."""

    def __init__(self, config: AstroSNNConfig, schedule: Schedule, text: Text) -> None:
        """A run at its beginning; seeds torch's global generator, which dropout draws from."""
        torch.manual_seed(schedule.seed)
        self.schedule, self.text = schedule, text
        self.model = AstroSNN(config).train()
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.model, schedule.weight_decay), lr=schedule.rate, betas=(0.9, 0.98), fused=True
        )
        self.state = self.model.initial_state(schedule.lanes)
        self.step, self.seconds, self.bits = 0, 0.0, math.nan
        self.rates: dict[str, float] = {}

    def advance(self) -> None:
        """One optimiser step on the next window of every lane; `bits`, per token, is a running mean of the loss."""
        started = time.process_time()
        tokens, fresh = self.text.window(self.step)
        initial = self.model.initial_state(self.schedule.lanes)
        self.state = initial if fresh else [tensor.detach() for tensor in self.state]
        spikes: dict[str, Tensor] = {}
        with torch.autocast("cpu", torch.bfloat16):
            logits, self.state = self.model(tokens[:, :-1], self.state, spikes)
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        rates = torch.stack([tensor.mean(dtype=torch.float32) for tensor in spikes.values()])
        self.optimiser.zero_grad(set_to_none=True)
        (loss + RATE_WEIGHT * rate_penalty(rates)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate * self.schedule.factor(self.step)
        self.optimiser.step()
        bits = loss.item() / math.log(2)
        self.bits = bits if math.isnan(self.bits) else 0.99 * self.bits + 0.01 * bits
        self.rates = dict(zip(spikes, rates.tolist(), strict=True))
        self.step += 1
        self.seconds += time.process_time() - started

    def identity(self, fingerprint: str) -> dict[str, Any]:
        """What was trained, how, and on what text."""
        return {"config": asdict(self.model.config), "schedule": asdict(self.schedule), "corpus": fingerprint}

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the whole run; an older file is replaced whole, so that a kill leaves one or the other."""
        whole = {
            **self.identity(fingerprint),
            **{"step": self.step, "seconds": self.seconds, "bits": self.bits, "random": torch.get_rng_state()},
            **{"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()},
            "state": [tensor.detach() for tensor in self.state],
        }
        content = io.BytesIO()
        torch.save(whole, content)
        replace_file(path, hashlib.sha256(content.getvalue()).digest() + content.getvalue())

    def resume(self, path: Path, fingerprint: str) -> None:
        """Go on from what `save` wrote; raises ValueError where that is damaged, or a run of something else."""
        digest, content = path.read_bytes()[:DIGEST], path.read_bytes()[DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError(f"{path} is damaged, or no saved run; remove it to begin anew.")
        whole = torch.load(io.BytesIO(content), weights_only=True)
        other = [name for name in ("config", "corpus") if whole[name] != self.identity(fingerprint)[name]]
        other += ["schedule"] * (not self.schedule.leads_on(Schedule(**whole["schedule"]), whole["step"]))
        if other:
            raise ValueError(
                f"{path} is a run with another {' and '.join(other)}; finish it as it was begun, or remove it."
            )
        self.model.load_state_dict(whole["model"])
        self.optimiser.load_state_dict(whole["optimiser"])
        self.state, self.step = whole["state"], whole["step"]
        self.seconds, self.bits = whole["seconds"], whole["bits"]
        torch.set_rng_state(whole["random"])


def rate_penalty(rates: Tensor) -> Tensor:
    """How far mean firing rates lie outside `LOWEST_RATE` … `HIGHEST_RATE`, squared and summed."""
    return (F.relu(rates - HIGHEST_RATE) ** 2 + F.relu(LOWEST_RATE - rates) ** 2).sum()


def parameter_groups(model: AstroSNN, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices; none for biases, norms and the parameters of decays."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
