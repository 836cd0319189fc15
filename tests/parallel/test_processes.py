"""A world of one process; tests/mpi tests several."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from charrnn.errors import CorpusError
from charrnn.parallel.processes import ALONE, World, _Source, world


def test_a_process_that_nobody_launched_is_alone() -> None:
    assert world() is ALONE
    array = np.arange(3)
    ALONE.sum(array)
    assert array.tolist() == [0, 1, 2]
    assert ALONE.gather("x") == ["x"]
    assert list(ALONE.map(str, [1, 2])) == [(1, "1"), (2, "2")]
    with pytest.raises(CorpusError, match="gone"):
        ALONE.together(fail)


def fail() -> None:
    raise CorpusError("gone")


@pytest.mark.parametrize(("number", "size"), [(32, 3), (3, 3), (7, 2), (256, 5)])
def test_shares_lie_side_by_side_and_differ_by_one_at_most(number: int, size: int) -> None:
    ranks = [World() for _ in range(size)]
    for rank, each in enumerate(ranks):
        each.rank, each.size = rank, size
    shares = [range(number)[each.share(number)] for each in ranks]
    assert [place for share in shares for place in share] == [*range(number)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        fail()

    source = _Source(items())
    assert (source.take(2), source.taken) == (2, [1, 2])
    assert (source.take(2), source.taken) == (1, [3])
    with pytest.raises(CorpusError, match="gone"):
        source.take(2)


@pytest.mark.parametrize("rank", [0, 1])
def test_without_mpi4py_one_process_says_what_is_missing(rank: int) -> None:
    hide = "import sys; sys.modules['mpi4py'] = None; from charrnn.__main__ import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}sys.argv[1:] = ['sample']; sys.exit(main())"],
        env={"PMI_RANK": str(rank), "PMI_SIZE": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    if rank:
        assert done.stderr == ""
    else:
        assert done.stderr.startswith("error: ")
        assert "pip install mpi4py" in done.stderr
        assert done.stderr.count("\n") == 1
