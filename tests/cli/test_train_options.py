"""The options of `charrnn train` set the fields of the configurations."""

import inspect
from dataclasses import fields
from typing import Any

import pytest
import typer

from charrnn import cli
from charrnn.cli import train_options
from charrnn.cli.train import train
from charrnn.config import ModelConfig, TrainConfig, VocabularyConfig

OPTIONS: dict[str, Any] = {
    parameter.name: parameter
    for parameter in typer.main.get_command(cli.app).commands["train"].params  # type: ignore[attr-defined]
}
FIELDS = {field.name: field.default for field in fields(TrainConfig)} | {
    field.name: field.default
    for kind in (ModelConfig, VocabularyConfig)
    for field in fields(kind)
    if field.name != "vocab_size" or kind is VocabularyConfig
}


def test_every_declaration_is_used() -> None:
    used = [parameter.annotation for parameter in inspect.signature(train).parameters.values()]
    declared = [each for each in vars(train_options).values() if hasattr(each, "__metadata__")]
    assert len(declared) > 30
    assert [each for each in declared if each not in used] == []


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() & FIELDS.keys()))
def test_an_option_has_the_default_of_its_field_or_one_by_the_corpus(name: str) -> None:
    assert OPTIONS[name].default in (FIELDS[name], None)
    if OPTIONS[name].default is None:
        assert "[default" in OPTIONS[name].help or name in ("steps", "epochs")
