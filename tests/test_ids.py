from charrnn.ids import EOS, IGNORE, NUM_SPECIAL, UNK
from charrnn.text.vocabulary import Vocabulary


def test_the_special_ids_come_before_those_of_tokens() -> None:
    assert {EOS, UNK} == set(range(NUM_SPECIAL))
    assert Vocabulary("ab").encode("abz").tolist() == [NUM_SPECIAL, NUM_SPECIAL + 1, UNK]


def test_what_is_not_predicted_is_no_id() -> None:
    assert IGNORE < 0
