"""What the soak test takes for growth."""

from __future__ import annotations

import pytest

from tests.soak.__main__ import ALLOWED_KIB_A_CONNECT
from tests.soak.growth import growth_a_connect


def rounds(*memory: float) -> list[tuple[int, float]]:
    return [((index + 1) * 100, value) for index, value in enumerate(memory)]


def test_a_leak_is_growth() -> None:
    leaking = rounds(*(90_000 + 0.3 * 100 * n + 40 * (n % 2) for n in range(30)))
    assert growth_a_connect(leaking) == pytest.approx(0.3, abs=0.02)
    assert growth_a_connect(leaking) > ALLOWED_KIB_A_CONNECT


def test_warming_up_is_none() -> None:
    assert growth_a_connect(rounds(*range(0, 3_000, 200), *[3_000] * 16)) == 0.0


@pytest.mark.parametrize("at", range(14, 30))
def test_steps_are_none(at: int) -> None:
    stepped = rounds(*(90_000 + 300 * (n >= at) + 400 * (n >= 22) for n in range(30)))
    assert growth_a_connect(stepped) == 0.0


def test_a_leak_that_takes_a_page_every_other_round_is_growth() -> None:
    lumpy = rounds(*(90_000 + 60 * (n // 2) for n in range(30)))
    assert growth_a_connect(lumpy) == pytest.approx(0.3)
