"""docs/onnx-nodes.md, printed from the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

import onnx
import onnxruntime

from tests.onnx_nodes.check_node import Verdict

HEAD = """# ONNX's own tests of its operators

ONNX comes with tests of single operators, of their forms and of the functions that some are made of. Each of those
that ONNX Runtime runs and whose data are tensors of numbers becomes a step here, beside a state that counts ticks:
exported, compiled for this machine, compared with ONNX Runtime by compile itself, run, and compared with what ONNX's
documents expect. What ONNX Runtime lacks of the newest operator sets it runs as the functions that ONNX has for it.

Inputs are fed at every tick; where that is refused, because one of them decides how large the result is, all but the
first are constants, or the single whole numbers among them, or all where all are single numbers. An input without
elements is always a constant. A NaN is fed as a mark of which the step makes one, because no step takes a NaN.

Printed by `make onnx-nodes`, with ONNX {onnx} and ONNX Runtime {runtime}."""


def page(verdicts: Sequence[Verdict]) -> str:
    """The page: totals, then for each operator how many pass, and the reasons of those that do not."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    lines = [
        HEAD.format(onnx=onnx.__version__, runtime=onnxruntime.__version__),
        "",
        f"Of {len(verdicts)} tests {counts['passed']} pass, {counts['refused']} are refused by name, "
        f"{counts['unnamed']} are refused without one, {counts['wrong']} are wrong, {counts['crashed']} crash.",
        "",
        "| test | outcome | what is said |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{verdict.name}` | {verdict.outcome} | {verdict.text.replace('|', chr(92) + '|')[:200]} |"
        for verdict in sorted(verdicts, key=attrgetter("name"))
        if verdict.outcome != "passed"
    ]
    return "\n".join(lines)
