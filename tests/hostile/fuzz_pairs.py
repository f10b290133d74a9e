"""A bundle and its reference graph saved over another pair, where each call on a file is killed or fails in turn."""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from astroedge.bundle.container import Bundle
from astroedge.errors import AstroEdgeError, VerificationError
from astroedge.runtimes.checking.verify import refuse_other_graph
from astroedge.step.graph import StepGraph
from astroedge.targets import quantise
from astroedge.workflows.compile_graph import compile, dequantised_path, save_pair
from tests.hostile.attempts import Attempt
from tests.hostile.tally import Tally, run_alone
from tests.support.failing_calls import KILL, calls_made, fail_at, failed_call, preload
from tests.support.graphs import recurrent_net

COUNT = 500
ERRORS = (KILL, errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR)
CLEANING = ("unlink", "rmdir")  # what fails to be removed stays


class Pairs:
    """An old pair in a folder and a new one in memory."""

    def __init__(self, folder: Path) -> None:
        graph = recurrent_net()
        self.output = folder / "net.astro"
        self.bundles = [compile(graph, precision=precision, check_ticks=5) for precision in ("int4", "int8")]
        self.graphs = [quantise(graph, precision).graph for precision in ("int4", "int8")]
        self.old = folder.with_name("old")
        self.old.mkdir()
        save_pair(self.bundles[0], self.graphs[0], self.old / "net.astro")

    def try_save(self, call: int, error: int) -> int | None:
        """Save the new pair over the old one, in a child where one call ends so: its exit status, None if killed."""
        shutil.rmtree(self.output.parent, ignore_errors=True)
        shutil.copytree(self.old, self.output.parent)
        child = os.fork()
        if child == 0:
            code = 254
            try:
                fail_at(self.output.parent, call, error)
                save_pair(self.bundles[1], self.graphs[1], self.output)
                code = 0
            except AstroEdgeError:
                code = 1
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status if status >= 0 else None

    def found(self) -> tuple[str, str]:
        """Which bundle and which graph is there, each whole; and whether verify says that they are a pair."""
        bundle = Bundle.load(self.output)
        bundle.check()
        graph = StepGraph.load(dequantised_path(self.output))
        names = {item.manifest.precision: name for item, name in zip(self.bundles, ("old", "new"), strict=True)}
        pair = names[bundle.manifest.precision], ("old", "new")[graph.digest == self.graphs[1].digest]
        try:
            refuse_other_graph(bundle.manifest, graph)
            told = True
        except VerificationError:
            told = False
        assert told == (pair[0] == pair[1]), pair
        return pair

    def judge(self, call: int, error: int) -> Attempt:
        """How one save ended."""
        status = self.try_save(call, error)
        pair = " bundle, ".join(self.found()) + " graph"
        names = {path.name for path in self.output.parent.iterdir()}
        extra = names - {self.output.name, dequantised_path(self.output).name}
        if status is None and error == KILL:
            return Attempt("killed", pair)
        if status == 0:
            return Attempt("done" if pair == "new bundle, new graph" else "accepted", pair)
        if status != 1:
            return Attempt("traceback", f"status {status}")
        last = pair == "new bundle, old graph" and failed_call() == "rename"
        whole = pair == "old bundle, old graph" or last
        return Attempt(
            "refused" if (whole and not extra) or failed_call() in CLEANING else "leftover", f"{pair} {extra}"
        )


def fuzz(count: int, seed: int) -> list[Tally]:
    """Every call with every error, at most so many."""
    tally = Tally("pairs saved")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        pairs = Pairs(Path(name).resolve() / "here")
        assert pairs.try_save(0, KILL) == 0
        cases = [(call, error) for call in range(1, calls_made() + 1) for error in ERRORS]
        random.Random(seed).shuffle(cases)
        for call, error in cases[:count]:
            found = pairs.judge(call, error)
            tally.add(f"call {call} ({failed_call()}) meets {errno.errorcode.get(error, 'a kill')}", found)
    return [tally]


if __name__ == "__main__":
    preload("tests.hostile.fuzz_pairs")
    run_alone(fuzz, COUNT)
