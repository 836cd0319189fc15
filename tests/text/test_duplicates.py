import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.text import duplicates as module
from charrnn.text.duplicates import fingerprints
from tests.conftest import documents_of

quick = settings(deadline=None, max_examples=60, derandomize=True)
texts = st.lists(st.text("ab\0가", min_size=1, max_size=4), min_size=1, max_size=20)


@quick
@given(texts, st.integers(1, 7), st.integers(1, 4))
def test_equal_documents_and_no_others_have_one_number(
    found: list[str], size: int, bits: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        patch.setattr(module, "_BITS", bits)
        numbers = fingerprints(documents_of([*found, *(text + "\n" for text in found)]))
    for number, text in zip(numbers, [*found, *found], strict=True):
        assert [*(numbers == number)] == [other == text for other in [*found, *found]]


def test_the_number_does_not_depend_on_what_stands_beside() -> None:
    alone, among = documents_of(["some text"]), documents_of(["other", "한글", "some text"])
    assert fingerprints(alone)[0] == fingerprints(among)[2]
    kept, rest = among.cut_off(2, 4)
    assert fingerprints(kept)[-1] == fingerprints(documents_of(["some"]))[0]
    assert fingerprints(rest)[0] == fingerprints(documents_of([" text"]))[0]
