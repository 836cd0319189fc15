"""A short form of `python -m tests.fuzz corpora`."""

from pathlib import Path

import pytest

from tests.fuzz.corpora import LARGE, check_large, fuzz_commands, fuzz_small

pytestmark = pytest.mark.slow

SEED = 1
SLOW_TO_SWAP = 1_000_000  # bytes of marks that would take Python's own normalization hours


def test_small_files_are_read_as_they_should_be() -> None:
    assert not [*fuzz_small(400, SEED)]


@pytest.mark.parametrize("name", ["one word", "marks", "a bomb.gz", "noise", "empty lines"])
def test_large_files_end_in_bounded_memory(name: str, tmp_path: Path) -> None:
    error = check_large(name, SLOW_TO_SWAP, tmp_path)
    assert ("max_size" in error) == (name == "a bomb.gz")


def test_commands_end_well_or_in_one_line() -> None:
    assert not [*fuzz_commands(6, SEED, 2_000)]
    assert len(LARGE) > 6
