"""The options of `charrnn sample` set the fields of the configuration."""

import inspect
from dataclasses import fields
from typing import Any

import pytest
import typer

from charrnn import cli
from charrnn.cli import sample_options
from charrnn.cli.sample import sample
from charrnn.config import SampleConfig

OPTIONS: dict[str, Any] = {
    parameter.name: parameter
    for parameter in typer.main.get_command(cli.app).commands["sample"].params  # type: ignore[attr-defined]
}
OTHERS = {"temperature": "0.8", "stop": None}  # typed as a list, or again and again


def test_every_declaration_is_used() -> None:
    used = [parameter.annotation for parameter in inspect.signature(sample).parameters.values()]
    declared = [each for each in vars(sample_options).values() if hasattr(each, "__metadata__")]
    assert len(declared) > 20
    assert [each for each in declared if each not in used] == []


@pytest.mark.parametrize("field", fields(SampleConfig), ids=lambda field: field.name)
def test_every_field_has_an_option_with_its_default(field: Any) -> None:
    assert OPTIONS[field.name].default == OTHERS.get(field.name, field.default)
