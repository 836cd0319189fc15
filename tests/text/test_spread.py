import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.parallel.processes import World
from charrnn.text import spread as module
from charrnn.text.spread import Spread
from tests.ranks import at_all_ranks

quick = settings(deadline=None, max_examples=40, derandomize=True)
numbers = st.lists(st.integers(0, 255), max_size=9)


@quick
@given(st.lists(numbers, min_size=1, max_size=4), st.integers(1, 5), st.data())
def test_every_process_looks_up_what_it_wants_wherever_it_lies(
    parts: list[list[int]], size: int, data: st.DataObject
) -> None:
    arrays = [np.array(part, np.uint8) for part in parts]
    whole = np.concatenate(arrays)
    places = st.lists(st.integers(0, max(0, len(whole) - 1)), max_size=9 if len(whole) else 0)
    wanted = [np.array(data.draw(places), int) for _ in parts]

    def look_up(world: World) -> tuple[Spread, np.ndarray]:
        spread = Spread(arrays[world.rank], world)
        return spread, spread[wanted[world.rank]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", size)
        found = at_all_ranks(len(parts), look_up)
    for rank, (spread, values) in enumerate(found):
        np.testing.assert_array_equal(values, whole[wanted[rank]])
        assert values.dtype == spread.dtype == np.uint8
        assert len(spread) == len(whole)
        np.testing.assert_array_equal(whole[spread.start : spread.stop], arrays[rank])


def test_places_may_be_a_slice_or_have_any_shape() -> None:
    def look_up(world: World) -> list[list[int]]:
        spread = Spread(np.arange(3) + 3 * world.rank, world)
        return [spread[1:5].tolist(), spread[np.array([[0, 5], [4, 1]])].ravel().tolist()]

    assert at_all_ranks(2, look_up) == [[[1, 2, 3, 4], [0, 5, 4, 1]]] * 2
