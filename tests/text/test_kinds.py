import gzip
import io
import tarfile
import zipfile

import pytest

from charrnn.errors import CorpusError
from charrnn.text.kinds import kind_of, refuse
from charrnn.text.reading import decode


def packed(form: str) -> bytes:
    """An archive with a text in it."""
    data = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("a.txt", "text" * 1000)
    else:
        with tarfile.open(fileobj=data, mode="w") as archive:
            member = tarfile.TarInfo("a.txt")
            member.size = 400_000
            archive.addfile(member, io.BytesIO(b"text" * 100_000))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (packed("zip"), "my notes.zip", "a zip archive; unpack it first: unzip 'my notes.zip'"),
        (packed("zip"), "a.docx", "as .docx, .odt and .epub are; save it as plain text first"),
        (packed("zip"), "a.npz", "a model or a file of arrays"),
        (packed("tar"), "a.tar.gz", "a tar archive; unpack it first: tar -xf a.tar.gz"),
        (gzip.compress(packed("tar")), "a.tgz", "a tar archive; unpack it first: tar -xf a.tgz"),
        (b"%PDF-1.7 ...", "a.txt", "a PDF; save it as plain text first"),
        (b"\xff\xd8\xff\xe0", "a.txt", "an image"),
    ],
)
def test_a_file_that_is_not_text_is_called_by_its_name(data: bytes, name: str, words: str) -> None:
    with pytest.raises(CorpusError, match="is not text: it looks like") as error:
        list(decode(iter([data]), name))
    assert words in str(error.value)
    assert "".join(decode(iter([data]), name, "latin-1"))  # asked for


@pytest.mark.parametrize("text", ["", "PK", "PDF", "GIF", "a" * 257 + "star", "%", "한글"])
def test_a_text_is_no_such_file(text: str) -> None:
    assert kind_of(text.encode(), "a.zip") is None
    refuse(text.encode(), "a.pdf")
