import random

import pytest

from charrnn.text.encodings import likely_encodings, seven_bit

TEXTS = {
    "cp949": "오늘은 날씨가 좋아서 공원에 산책하러 갔다. 커피도 마셨다.",
    "euc_jp": "今日は天気がいいので、公園へ散歩に行きました。コーヒーも飲みました。",
    "cp932": "今日は天気がいいので、公園へ散歩に行きました。コーヒーも飲みました。",
    "gb18030": "今天天气很好，我们一起去公园散步。他说他喜欢这本书。",
    "big5": "今天天氣很好，我們一起去公園散步。他說他喜歡這本書。",
    "cp1251": "Привет, мир! Это обычный русский текст.",
    "koi8-r": "Привет, мир! Это обычный русский текст.",
    "cp866": "Привет, мир! Это обычный русский текст.",
    "iso8859-5": "Привет, мир!",
    "iso8859-2": "Są też inne: ta książka była bardzo ciekawa.",
    "iso8859-7": "Το ‘Άλφα’ είναι ένα απλό κείμενο.",
    "cp1255": "שלום עולם, זה טקסט",
    "cp1252": "Le garçon était très âgé; “Größe” – das Mädchen.",
    "cp1250": "Ta książka była bardzo ciekawa, dziękuję.",
    "cp1253": "Καλημέρα, αυτό είναι ένα απλό κείμενο.",
    "cp1256": "مرحبا بالعالم، هذا نص بسيط.",
    "cp874": "วันนี้อากาศดีมาก เราไปเดินเล่น",
}


@pytest.mark.parametrize(("encoding", "text"), TEXTS.items())
def test_the_likeliest_encoding_is_the_right_one(encoding: str, text: str) -> None:
    found = likely_encodings(text.encode(encoding))
    assert next(iter(found)) == encoding
    assert found[encoding] in text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1254", "İstanbul'da güneşli bir gün"),
        ("cp1254", "Görüyorum ki her şey çok güzel, ama sığ"),  # cp1252 reads the first ones too
        ("cp1255", "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ, דְּבָרְךָ"),  # with its vowels
        ("iso8859-7", "Καλημέρα, αυτό είναι ένα απλό κείμενο. Άλλο"),
    ],
)
def test_one_that_cannot_be_told_from_others_is_among_them(encoding: str, text: str) -> None:
    found = likely_encodings(text.encode(encoding))
    assert found[encoding] in text
    assert len({*found.values()}) == len(found) <= 3  # each of them reads something else


@pytest.mark.parametrize("encoding", ["cp1251", "cp932", "koi8-r"])
def test_one_that_is_clearly_worse_is_not_named(encoding: str) -> None:
    text = TEXTS[encoding]
    assert likely_encodings((text * 5).encode(encoding)).keys() == {encoding}


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp850", "På ön åt flickan räkor. Över ån går bron, och där är båten. Ärligt!"),
        ("mac_roman", "Der Müller hört die Bäche rauschen, groß und schön. Äpfel, Öl, Übung."),
        ("gbk", "Мама мыла раму, и кот сидел на окне весь день. Я видел, как она шла."),
        ("euc_jp", "Това е един обикновен текст на български език. Ясно ли е?"),
    ],
)
def test_signs_and_capitals_inside_of_words_are_no_advice(encoding: str, text: str) -> None:
    assert not likely_encodings(text.encode(encoding))


def test_escape_sequences_name_their_encoding() -> None:
    for encoding, text in (("iso2022_jp", TEXTS["cp932"]), ("iso2022_kr", TEXTS["cp949"])):
        found = seven_bit((text * 300).encode(encoding).decode("ascii"))
        assert found.keys() == {encoding}
        assert found[encoding].split()[0] in text
    assert not seven_bit("\x1b[31mred\x1b[0m")
    assert not seven_bit("\x1b$B\x7f\x7f")  # no such characters


def test_bytes_in_no_such_encoding_get_no_advice() -> None:
    damaged = "안녕하세요, 오늘은 날씨가 좋다. ".encode() * 9 + b"\xff"
    for data in (damaged, random.Random(0).randbytes(3000), "오늘은 날씨가".encode("johab")):
        assert likely_encodings(data) == {}
