import pytest

from charrnn.inference.units import bits, perplexity


def test_a_fair_coin_is_one_bit_and_a_choice_of_two() -> None:
    nats = 0.6931471805599453
    assert bits(nats) == 1
    assert perplexity(nats) == pytest.approx(2)


def test_a_perplexity_that_no_float_holds_is_none() -> None:
    assert perplexity(800) is None
    assert perplexity(0) == 1
