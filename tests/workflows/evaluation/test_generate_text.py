from __future__ import annotations

from collections.abc import Iterator

import pytest

from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.runtimes.generation.generate import continue_tokens
from astroedge.runtimes.generation.sampling import Sampling
from astroedge.session import Session
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.workflows.evaluation.generate_text import (
    Bytes,
    find_codec,
    is_byte_model,
    plan_text,
    printable,
    until_stop,
)
from tests.support.graphs import lif_layer, token_net


def write(session: Session, prompt: str, count: int, sampling: Sampling) -> Iterator[int]:
    """The bytes that follow a prompt."""
    return continue_tokens(session, plan_text(Bytes(), prompt, count, sampling))


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    """Text is a function of the bundle, the prompt and the sampling."""
    session = ReferenceSession(token_net(256))

    def text(seed: int) -> list[int]:
        session.reset()
        return list(write(session, "ab", 40, Sampling(seed=seed)))

    assert text(3) == text(3)
    assert text(3) != text(4)


def test_each_byte_is_fed_back_before_the_next_is_drawn() -> None:
    """Greedy text equals stepping by hand with the argmax."""
    session, by_hand = ReferenceSession(token_net(256)), ReferenceSession(token_net(256))
    found = list(write(session, "spike", 30, Sampling(temperature=0)))
    expected: list[int] = []
    for token in b"spike":
        logits = by_hand.step(token=token)["logits"]
    for _ in range(30):
        expected.append(int(logits.argmax()))
        logits = by_hand.step(token=expected[-1])["logits"]
    assert found == expected
    assert len(set(found)) > 3


def test_no_prompt_starts_at_a_new_line() -> None:
    """An empty prompt is the same as a line end."""
    sampling = Sampling(seed=1)
    texts = [list(write(ReferenceSession(token_net(256)), prompt, 20, sampling)) for prompt in ("", "\n")]
    assert texts[0] == texts[1]


def test_zero_bytes_only_read_the_prompt() -> None:
    """A count of 0 yields nothing."""
    assert list(write(ReferenceSession(token_net(256)), "x", 0, Sampling())) == []


@pytest.mark.parametrize("graph", [lif_layer(), token_net(17)])
def test_other_models_have_no_text(graph: StepGraph) -> None:
    """A model that takes real numbers, or tokens that are no bytes and have no tokenizer, cannot continue a prompt."""
    assert not is_byte_model(graph.spec)
    assert find_codec(graph.spec, None) is None


@pytest.mark.parametrize(("outputs", "expected"), [((1, 256), True), ((1, 255), False)])
def test_byte_model_is_known_by_its_logits(outputs: tuple[int, int], expected: bool) -> None:
    """One token below 256 in and 256 logits out first, whatever the names."""
    spec = StepSpec(
        inputs=(TensorSpec("byte", (1, 1), "int32", index_range=(0, 256)),),
        outputs=(TensorSpec("scores", outputs, "float32"), TensorSpec("extra", (3,), "float32")),
        states=(StateSpec("v", (1, 4), "float32"),),
    )
    assert is_byte_model(spec) is expected


def test_characters_appear_once_they_are_complete() -> None:
    """A character of several bytes comes with its last byte; what is no UTF-8 becomes U+FFFD."""
    assert list(Bytes().pieces((), "é→a".encode())) == ["", "é", "", "", "→", "a", ""]
    assert "".join(Bytes().pieces((), b"a\xffb\xe2\x82")) == "a�b�"


def test_control_characters_never_reach_the_terminal() -> None:
    """A model cannot clear the screen: all but tab and line end are replaced."""
    assert printable("\x1b[2Ja\tb\n\r\x00") == "�[2Ja\tb\n��"


def test_a_stop_ends_the_text_before_it() -> None:
    """The first of several stops counts, over the borders of pieces; what only begins like one is given in the end."""
    asked = []

    def pieces() -> Iterator[str]:
        for piece in ("a<", "en", "", "<e", "nd", "> b", "never"):
            asked.append(piece)
            yield piece

    assert list(until_stop(pieces(), ["<end>", "zzz"])) == ["a", "", "", "<en", "", ""]
    assert asked[-1] == "> b"
    assert "".join(until_stop(["xa", "b", "ay"], ["aby", "ya"])) == "xabay"
    assert "".join(until_stop(["one two"], ["two", "e t"])) == "on"
    assert "".join(until_stop(["ab"], ["", "b"])) == "a"
