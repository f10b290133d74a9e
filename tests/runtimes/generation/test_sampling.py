"""The choice of a token: its chances, what is left to choose from, and its bits."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes.generation.sampling import Sampling, draw, exponential


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


def test_top_p_leaves_the_likeliest_that_come_to_it() -> None:
    """Of chances ½, ¼, ⅛, ⅛ those that first come to 0.6 are two, to 0.75 two, to 0.76 three; never none."""
    logits = np.log([0.125, 0.5, 0.125, 0.25])
    rng = random_numbers()
    for top_p, left in ((0.6, {1, 3}), (0.749, {1, 3}), (0.76, {0, 1, 3}), (1e-9, {1}), (1.0, {0, 1, 2, 3})):
        assert {draw(logits, Sampling(1.0, top_p=top_p), rng) for _ in range(200)} == left, top_p


def test_min_p_leaves_those_near_the_likeliest() -> None:
    """At least so much of the highest chance, after the temperature and after top_k."""
    logits = np.log([0.1, 0.5, 0.15, 0.25])
    rng = random_numbers()
    for settings, left in (({"min_p": 0.4}, {1, 3}), ({"min_p": 1.0}, {1}), ({"min_p": 0.25, "top_k": 2}, {1, 3})):
        assert {draw(logits, Sampling(1.0, **settings), rng) for _ in range(200)} == left, settings
    assert {draw(logits, Sampling(2.0, min_p=0.5), rng) for _ in range(200)} == {1, 2, 3}


def test_repetition_makes_seen_tokens_less_likely() -> None:
    """A positive score is divided, a negative one multiplied, of tokens seen alone; the scores stay as they were."""
    seen = np.array([True, True, False, False])
    scores = np.array([3.0, -1.0, 2.0, -1.5])
    assert draw(scores, Sampling(0, repetition_penalty=1.4), random_numbers(), seen) == 0
    assert draw(scores, Sampling(0, repetition_penalty=2.0), random_numbers(), seen) == 2
    assert draw(scores[[1, 3]], Sampling(0, repetition_penalty=2.0), random_numbers(), seen[[1, 3]]) == 1
    assert scores.tolist() == [3.0, -1.0, 2.0, -1.5]


def test_the_exponential_is_the_same_everywhere() -> None:
    """Within two units in the last place of the true one; the digest was made on x86-64 and holds on every machine."""
    x = -np.concatenate([np.linspace(0, 710, 10_001), 2.0 ** np.arange(-60, 10), [np.inf]])
    found = exponential(x)
    np.testing.assert_allclose(found[x >= -700], np.exp(x[x >= -700]), rtol=5e-16)
    assert found[x < -700].max() == 0
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest()[:16] == "33760bc5f16cf092"


@pytest.mark.parametrize("scores", [[0.0, np.nan], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_scores_that_nothing_can_be_drawn_from_are_refused(scores: list[float]) -> None:
    """A NaN and an infinite highest score."""
    with pytest.raises(InputError, match="NaN or an infinity"):
        draw(scores, Sampling(), random_numbers())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"min_p": 1.1}, "min_p is 1.1"),
        ({"repetition_penalty": 0.0}, "repetition penalty is 0.0"),
    ],
)
def test_meaningless_sampling_is_refused(settings: dict[str, float], message: str) -> None:
    """Settings outside their range are an error, not another setting."""
    with pytest.raises(InputError, match=message):
        Sampling(**settings)
