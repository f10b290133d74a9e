from __future__ import annotations

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes.checking.reference import ReferenceSession
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.workflows.evaluation.generate_text import START, Sampling, as_text, draw, generate, is_byte_model
from tests.support.graphs import lif_layer, token_net


def random_numbers(seed: int = 0) -> np.random.Generator:
    """The generator the workflow uses."""
    return np.random.Generator(np.random.PCG64(seed))


def test_temperature_zero_takes_the_first_of_the_likeliest() -> None:
    """Greedy choice draws no random number, and of equal logits the lowest index wins."""
    rng = random_numbers()
    assert draw([0.0, 3.0, 1.0, 3.0], Sampling(temperature=0), rng) == 1
    assert rng.random() == random_numbers().random()


def test_chances_are_those_of_the_softmax() -> None:
    """Over many draws each index comes as often as exp(logit / temperature) says."""
    logits, temperature = np.array([1.0, 0.0, -1.0, 2.0], np.float32), 0.7
    rng = random_numbers()
    counts = np.bincount([draw(logits, Sampling(temperature), rng) for _ in range(20_000)], minlength=4)
    chances = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
    assert np.abs(counts / 20_000 - chances).max() < 0.015


def test_top_k_leaves_only_the_likeliest() -> None:
    """With top_k 2 only the two largest logits are ever drawn, both of them; ties go to the lower index."""
    rng = random_numbers()
    logits = [1.0, 5.0, 4.9, 4.9, 0.0]
    assert {draw(logits, Sampling(temperature=2.0, top_k=2), rng) for _ in range(200)} == {1, 2}


def test_one_draw_equals_a_case_by_hand() -> None:
    """Equal logits of four: the first number of PCG64(0), 0.6369…, falls in the third quarter."""
    assert int(random_numbers().random() * 10_000) == 6369
    assert draw([7.0] * 4, Sampling(temperature=1.0), random_numbers()) == 2


def test_extreme_logits_are_drawn_from_without_overflow() -> None:
    """Logits far apart and minus infinity are no problem; what has no chance is never drawn."""
    rng = random_numbers()
    assert {draw([-np.inf, 3e38, -3e38], Sampling(temperature=0.01), rng) for _ in range(50)} == {1}


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    """Text is a function of the bundle, the prompt and the sampling."""
    session = ReferenceSession(token_net(256))

    def text(seed: int) -> list[int]:
        session.reset()
        return list(generate(session, b"ab", 40, Sampling(seed=seed)))

    assert text(3) == text(3)
    assert text(3) != text(4)


def test_each_byte_is_fed_back_before_the_next_is_drawn() -> None:
    """Greedy text equals stepping by hand with the argmax."""
    session, by_hand = ReferenceSession(token_net(256)), ReferenceSession(token_net(256))
    found = list(generate(session, b"spike", 30, Sampling(temperature=0)))
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
    texts = [list(generate(ReferenceSession(token_net(256)), prompt, 20, sampling)) for prompt in (b"", START)]
    assert texts[0] == texts[1]


def test_zero_bytes_only_read_the_prompt() -> None:
    """A count of 0 yields nothing."""
    assert list(generate(ReferenceSession(token_net(256)), b"x", 0, Sampling())) == []


@pytest.mark.parametrize("graph", [lif_layer(), token_net(17)])
def test_other_models_are_refused(graph: object) -> None:
    """A model that takes real numbers, or tokens that are no bytes, cannot continue a prompt."""
    session = ReferenceSession(graph)
    assert not is_byte_model(session.spec)
    with pytest.raises(InputError, match="no byte-level language model"):
        next(generate(session, b"x", 1, Sampling()))


@pytest.mark.parametrize(("outputs", "expected"), [((1, 256), True), ((1, 255), False)])
def test_byte_model_is_known_by_its_logits(outputs: tuple[int, int], expected: bool) -> None:
    """One token below 256 in and 256 logits out first, whatever the names."""
    spec = StepSpec(
        inputs=(TensorSpec("byte", (1, 1), "int32", index_range=(0, 256)),),
        outputs=(TensorSpec("scores", outputs, "float32"), TensorSpec("extra", (3,), "float32")),
        states=(StateSpec("v", (1, 4), "float32"),),
    )
    assert is_byte_model(spec) is expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_meaningless_sampling_is_refused(settings: dict[str, float], message: str) -> None:
    """Settings outside their range are an error, not another setting."""
    with pytest.raises(InputError, match=message):
        Sampling(**settings)


def test_characters_appear_once_they_are_complete() -> None:
    """A character of several bytes comes with its last byte; what is no UTF-8 becomes U+FFFD."""
    assert list(as_text("é→a".encode())) == ["", "é", "", "", "→", "a", ""]
    assert "".join(as_text(b"a\xffb\xe2\x82")) == "a�b�"


def test_control_characters_never_reach_the_terminal() -> None:
    """A model cannot clear the screen: all but tab and line end are replaced."""
    assert "".join(as_text(b"\x1b[2Ja\tb\n\r\x00")) == "�[2Ja\tb\n��"
