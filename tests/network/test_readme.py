"""The training loop in the README of the network runs and learns."""

import re
from pathlib import Path

import pytest

import charrnn.network

README = Path(charrnn.network.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_loop_learns_its_text_by_heart(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 60
    names: dict[str, str] = {}
    exec(code, names)
    *steps, written = capsys.readouterr().out.splitlines()
    bits = [float(line.split()[2]) for line in steps]
    assert len(bits) == 3
    assert bits[0] > bits[-1]
    assert bits[-1] < 0.05
    assert len(written) > 60
    assert written in names["text"]


def test_every_file_that_it_names_is_there() -> None:
    folder = Path(charrnn.network.__file__).parent
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) >= 11
    assert all((folder / link).is_file() for link in links)
