import math

import pytest

from charrnn.config import LINES, WHOLE
from charrnn.inference.classification import Classification, Confusions, classify
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from tests.conftest import JAMO, WORDS, MakeCheckpoint

pytestmark = pytest.mark.figures


def test_the_posterior_is_bayes_rule_from_equal_priors(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    models = {"one": make_checkpoint(seed=1), "two": make_checkpoint(seed=2)}
    (found,) = classify(models, ["abca"], workers=workers)
    p = {
        name: math.exp(score(m, ["abca"], workers=workers)[0].log_prob)
        for name, m in models.items()
    }
    for name in models:
        assert found.posterior[name] == pytest.approx(p[name] / sum(p.values()))
    assert found.label == max(p, key=p.__getitem__)


def test_a_text_far_too_long_for_a_float_still_has_a_posterior() -> None:
    found = Classification("x", {"a": -1e6, "b": -1e6 - math.log(3)}, eos=True)
    assert found.posterior == pytest.approx({"a": 0.75, "b": 0.25})


def test_a_character_outside_the_vocabulary_costs_its_share_of_unk(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    models = {"narrow": make_checkpoint("a"), "wide": make_checkpoint("ab")}
    (found,) = classify(models, ["ab"], eos=False, workers=workers)
    plain = score(models["narrow"], ["ab"], eos=False, workers=workers)[0].token_log_prob
    assert found.log_probs["narrow"] == pytest.approx(plain - math.log(0x110000 - 0x800 - 1))
    whole = score(models["wide"], ["ab"], eos=False, workers=workers)[0].log_prob
    assert found.log_probs["wide"] == pytest.approx(whole)


@pytest.mark.parametrize("separator", [LINES, "--", WHOLE])
def test_all_models_score_the_same_event(
    make_checkpoint: MakeCheckpoint, workers: Workers, separator: str
) -> None:
    models = {
        "a": make_checkpoint(),
        "b": make_checkpoint(separator=separator),
    }
    (found,) = classify(models, ["abc"], workers=workers)
    assert found.eos == (separator != WHOLE)
    for name, checkpoint in models.items():
        (expected,) = score(checkpoint, ["abc"], eos=found.eos, workers=workers)
        assert found.log_probs[name] == pytest.approx(expected.log_prob)


def test_confusions_count_pairs() -> None:
    found = Confusions.count(["x", "x", "y"], ["x", "y", "y"])
    assert found.confusions == {"x": {"x": 1, "y": 1}, "y": {"y": 1}}
    assert found.texts == 3
    assert found.accuracy == pytest.approx(2 / 3)
    assert Confusions.count([], []).accuracy is None


def test_models_of_any_tokens_are_compared_on_what_all_of_them_know(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    models = {
        "characters": make_checkpoint("가각 "),
        "jamo": make_checkpoint("ᄀ\u1161\u11a8 ", JAMO),
        "words": make_checkpoint(["가", " 각"], WORDS),
    }
    (found,) = classify(models, ["가 각"], workers=workers)
    for label, checkpoint in models.items():
        (expected,) = score(checkpoint, ["가 각"], workers=workers)
        assert found.log_probs[label] == pytest.approx(expected.log_prob)
    assert math.fsum(found.posterior.values()) == pytest.approx(1)
    assert found.posterior[found.label] == max(found.posterior.values())


def test_every_unknown_jamo_costs_its_share_of_unk(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    models = {"jamo": make_checkpoint("ᄀ", JAMO), "characters": make_checkpoint("ᄀ")}
    (found,) = classify(models, ["각"], workers=workers)
    share = math.log(0x110000 - 0x800 - 1)
    for label, unknown in (("jamo", 2), ("characters", 1)):
        (plain,) = score(models[label], ["각"], workers=workers)
        assert found.log_probs[label] == pytest.approx(plain.token_log_prob - unknown * share)


def test_a_model_of_words_spells_out_what_it_does_not_know(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    models = {"characters": make_checkpoint("abc "), "words": make_checkpoint(["a", " b"], WORDS)}
    (found,) = classify(models, ["a b aaaa"], workers=workers)
    assert found.unk == {"characters": 0, "words": 1}
    assert found.label == "characters"
    for label, checkpoint in models.items():
        (expected,) = score(checkpoint, ["a b aaaa"], workers=workers)
        assert found.log_probs[label] == pytest.approx(expected.log_prob)
