import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.text import hashing
from charrnn.text.hashing import BlockHash, hash_together
from tests.ranks import at_all_ranks

quick = settings(deadline=None, max_examples=60, derandomize=True)
pieces = st.lists(st.binary(max_size=9), max_size=5)


@quick
@given(pieces, st.integers(1, 7))
def test_the_hash_is_that_of_the_hashes_of_all_blocks_or_of_the_only_one(
    parts: list[bytes], block: int
) -> None:
    text = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_BLOCK", block)
        found = BlockHash()
        for part in parts:
            found.update(part)
        whole = len(text) // block
        blocks = [text[n * block : (n + 1) * block] for n in range(whole + 1)]  # the last may be ""
        expected = b"".join(hashlib.sha256(each).digest() for each in blocks)
        digest = hashlib.sha256(expected if whole else text)
        assert found.hexdigest() == digest.hexdigest()


@quick
@given(st.lists(pieces, min_size=1, max_size=4), st.integers(1, 7))
def test_the_hash_is_the_same_whoever_has_which_bytes(
    shares: list[list[bytes]], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_BLOCK", block)
        expected = BlockHash()
        expected.update(b"".join(b"".join(parts) for parts in shares))
        found = at_all_ranks(
            len(shares),
            lambda world: hash_together(
                shares[world.rank], sum(map(len, shares[world.rank])), world
            ),
        )
    assert found == [expected.hexdigest()] * len(shares)
