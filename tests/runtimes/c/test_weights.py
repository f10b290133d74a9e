"""The C host's weights: a copy that the file's changes do not reach, one for all sessions; mapped where asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from astroedge.errors import LinkError
from astroedge.targets.link.linker import Linker, run_compiler
from tests.support.bundles import make_tiny_bundle
from tests.support.c_host import ABI, SOURCES

# Opens the bundle in argv[1] several times, then does to its weights file what argv[2] says, and steps on.
MAIN = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "astro.h"
#define CHECK(right) do { if (!(right)) { fprintf(stderr, "line %d\n", __LINE__); exit(1); } } while (0)

static void hash(astro_session *session, char state[65])
{
    astro_failure failure;
    char outputs[65];
    uint64_t seed = 7;
    CHECK(astro_reset(session, &failure) == 0);
    for (int tick = 0; tick < 20; tick++) {
        astro_draw(session, &seed);
        CHECK(astro_tick(session, &failure) == 0);
    }
    CHECK(astro_hash(session, state, outputs, &failure) == 0);
}

int main(int count, char **arguments)
{
    astro_session first, second, third, mapped;
    astro_failure failure;
    char before[65], after[65], other[65];
    CHECK(count == 3);
    CHECK(astro_open(&first, arguments[1], &failure) == 0);
    CHECK(astro_open(&second, arguments[1], &failure) == 0);
    CHECK(astro_open_trusting_weights(&mapped, arguments[1], &failure) == 0);
    CHECK(first.library == second.library && first.library == mapped.library);
    CHECK(first.call.weights == second.call.weights && first.call.weights != mapped.call.weights);
    hash(&first, before);
    hash(&mapped, other);
    CHECK(strcmp(before, other) == 0);

    int file = open(arguments[2], O_RDWR);
    char zeros[4096] = {0};
    CHECK(file >= 0 && pwrite(file, zeros, first.info->weights_size, 0) > 0);
    hash(&mapped, other);
    CHECK(strcmp(before, other) != 0);
    astro_close(&mapped);
    CHECK(astro_open(&third, arguments[1], &failure) == ASTRO_BAD_BUNDLE && strstr(failure.message, "digest"));
    CHECK(ftruncate(file, 0) == 0 && close(file) == 0);
    CHECK(astro_open(&third, arguments[1], &failure) == ASTRO_BAD_BUNDLE && strstr(failure.message, "bytes"));
    astro_close(&first);
    hash(&second, after);
    CHECK(strcmp(before, after) == 0);
    astro_close(&second);
    CHECK(access("/proc/self/fd/3", F_OK) != 0);
    return 0;
}
"""


def test_sessions_share_a_copy_that_no_file_reaches(tmp_path: Path) -> None:
    """Zeroed, then cut to nothing, the file changes mapped weights alone; a new session is refused; nothing leaks."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc with sanitizers")
    folder = tmp_path / "tiny.astro"
    make_tiny_bundle().save(folder)
    (tmp_path / "main.c").write_text(MAIN)
    sources = [str(path) for path in sorted(SOURCES.glob("*.c")) if path.name != "astro-run.c"]
    checks = ["-std=gnu11", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    try:
        arguments = [*checks, f"-I{ABI}", f"-I{SOURCES}", "main.c", *sources, "-o", "main", "-ldl", "-pthread"]
        run_compiler(Linker((compiler,), "gcc"), arguments, tmp_path)
    except LinkError:
        pytest.skip("needs gcc with sanitizers")
    command = [str(tmp_path / "main"), str(folder), str(next(folder.glob("weights-*")))]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
