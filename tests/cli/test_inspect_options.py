"""The options of `charrnn inspect` are declared once, and all of them are used."""

import inspect

from charrnn.cli import inspect_options
from charrnn.cli.inspect import inspect as command


def test_every_declaration_is_used() -> None:
    used = [parameter.annotation for parameter in inspect.signature(command).parameters.values()]
    declared = [each for each in vars(inspect_options).values() if hasattr(each, "__metadata__")]
    assert len(declared) > 10
    assert [each for each in declared if each not in used] == []
