"""ONNX's backend tests of single operators, as steps: how many a bundle carries, and what is said of the rest.

    make onnx-nodes        or        python -m tests.onnx_nodes [--records FILE] [WORD …]

runs the tests whose names hold one of the words, all by default, each in a process of its own, and prints the page
docs/onnx-nodes.md. The exit status is 1 if a result is wrong, a process dies or an error is not ours.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

from tests.onnx_nodes.check_node import Verdict, check_node
from tests.onnx_nodes.node_cases import NodeCase, node_cases
from tests.onnx_nodes.page import page

SECONDS = 300
PROCESSES = 2


def main() -> None:
    """Run the tests and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="run the tests whose names hold one; default: all")
    parser.add_argument("--records", type=Path, metavar="FILE", help="also write a line of JSON for each test")
    parser.add_argument("--processes", type=int, default=PROCESSES, metavar="N", help=f"at a time ({PROCESSES})")
    chosen = parser.parse_args()
    verdicts = []
    for verdict in verdicts_of(list(node_cases(chosen.words)), chosen.processes):
        verdicts.append(verdict)
        if chosen.records:
            with chosen.records.open("a") as records:
                records.write(json.dumps(asdict(verdict)) + "\n")
        print(
            f"{len(verdicts):5} {verdict.outcome:8} {verdict.name}  {verdict.text[:160]}", file=sys.stderr, flush=True
        )
    print(page(verdicts))
    raise SystemExit(any(verdict.outcome in ("wrong", "crashed", "unnamed") for verdict in verdicts))


def verdicts_of(cases: list[NodeCase], processes: int) -> Iterator[Verdict]:
    """The verdict of each case, in order; a process that dies or takes too long is one too.

    The first one is tried here as well, so that every process finds what it needs imported, linked and warm.
    """
    for case in cases[:1]:
        check_node(case)
    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(_in_child, cases)


def _in_child(case: NodeCase) -> Verdict:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_send, args=(case, theirs))
    process.start()
    theirs.close()
    try:
        if ours.poll(SECONDS):
            verdict: Verdict = ours.recv()
            return verdict
        reason = f"no answer after {SECONDS} s"
    except EOFError:
        process.join()
        reason = f"the process ended with {process.exitcode}"
    finally:
        process.kill()
        process.join()
    return Verdict(case.name, case.operators, "crashed", False, reason, SECONDS)


def _send(case: NodeCase, end: Connection) -> None:
    end.send(check_node(case))


if __name__ == "__main__":
    main()
