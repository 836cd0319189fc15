"""One hash of a long text, whichever process reads which part of it."""

import hashlib
from collections.abc import Iterable

from charrnn.parallel.processes import World

_BLOCK = 1 << 18  # bytes


class BlockHash:
    """SHA-256 over the SHA-256 of all blocks of 256 KB, so that no block waits for another.

    Of a text that is shorter it is the SHA-256 itself.

    Args:
        start: where in the text the bytes begin.
    """

    def __init__(self, start: int = 0) -> None:
        self._room = -start % _BLOCK  # bytes to come of a block that began before
        self._head = b""  # those that have come
        self._digests = bytearray()  # of the blocks that are whole
        self._rest = b""

    def update(self, data: bytes) -> None:
        """Take in the bytes that come next."""
        room = self._room - len(self._head)
        if room:
            self._head += data[:room]
            data = data[room:]
        data = self._rest + data
        stop = len(data) - len(data) % _BLOCK
        for start in range(0, stop, _BLOCK):
            self._digests += hashlib.sha256(memoryview(data)[start : start + _BLOCK]).digest()
        self._rest = data[stop:]

    def extend(self, other: "BlockHash") -> None:
        """Take in what another one has, whose bytes come next."""
        self.update(other._head)
        self._digests += other._digests
        self.update(other._rest)

    def hexdigest(self) -> str:
        """The hash of all bytes from 0 on."""
        last = hashlib.sha256(self._rest)
        if self._digests:
            last = hashlib.sha256(self._digests + last.digest())
        return last.hexdigest()


def hash_together(parts: Iterable[bytes], size: int, world: World) -> str:
    """The hash of the bytes of all ranks end to end.

    Args:
        parts: those of this rank.
        size: how many they are.
    """
    own = BlockHash(sum(world.gather(size)[: world.rank]))
    for part in parts:
        own.update(part)
    found = BlockHash()
    for other in world.gather(own):
        found.extend(other)
    return found.hexdigest()
