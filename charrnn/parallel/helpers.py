"""Helper processes: forked copies of this process that share its work.

Threads take turns in the Python interpreter between NumPy calls, which slows small networks down by
up to a fifth. Each helper process has its own interpreter.
"""

import contextlib
import mmap
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import numpy as np

FORKS = sys.platform == "linux"  # elsewhere there is no fork, or system libraries break in it

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the main process answers them for all
_MOST_FILES = 1 << 16


def shared_zeros(size: int, dtype: "np.dtype") -> "np.ndarray":
    """Return a vector of zeros in memory that this process shares with all later helpers."""
    import numpy as np

    return np.frombuffer(mmap.mmap(-1, size * dtype.itemsize), dtype)


class Helpers:
    """A group of helper processes that keep nothing between calls, so that losing one is harmless.

    A helper is forked: it has a copy of everything as it is now, and sees later changes in shared
    arrays only. It ends with this process, however that ends. The threads of this process must be
    idle.

    Args:
        function: the work; items and results are pickled between processes.
        number: of helpers; there are fewer if the system has no room.
        before: called in a helper before its share of each `map`.
    """

    def __init__(
        self, function: Callable[[Any], Any], number: int, before: Callable[[], None]
    ) -> None:
        self._function, self._before = function, before
        self._helpers: list[_Helper] = []
        with contextlib.suppress(OSError):
            for _ in range(number):
                self._helpers.append(_Helper(self._share))

    def __len__(self) -> int:
        return len(self._helpers)

    def map(self, items: Sequence[Any]) -> list[Any]:
        """Return function(item) for every item, in order, computed here and in all helpers.

        If a helper fails or was killed, this process does its share and stops using it.
        """
        size = len(self._helpers) + 1
        shares = [items[number::size] for number in range(size)]
        results = [None] * len(items)
        try:
            for helper, share in zip(self._helpers, shares[1:], strict=True):
                helper.send(share)
            results[::size] = map(self._function, shares[0])
            for number, helper in enumerate([*self._helpers], start=1):
                found = helper.receive()
                if found is None:
                    helper.kill()
                    self._helpers.remove(helper)
                    found = [*map(self._function, shares[number])]
                results[number::size] = found
        except BaseException:  # such as Ctrl-C: late results must not answer the next call
            self.close()
            raise
        return results

    def close(self) -> None:
        """End the helpers, whatever they are doing."""
        while self._helpers:
            self._helpers.pop().kill()

    def _share(self, items: Sequence[Any]) -> list[Any]:
        """Work on a share, in a helper."""
        self._before()
        return [*map(self._function, items)]


class _Helper:
    """One helper: a process and the connection to it.

    Raises:
        OSError: the system has no room for another process.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        from multiprocessing.connection import Pipe

        self._connection, theirs = Pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():  # other threads are idle, and a helper uses none
                warnings.simplefilter("ignore", DeprecationWarning)
                self.process = os.fork()
            if self.process == 0:
                _serve(theirs, function)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def send(self, items: Any) -> None:
        """Send items; `receive` returns the results."""
        with contextlib.suppress(OSError):  # the helper is dead, as `receive` will find
            self._connection.send(items)

    def receive(self) -> Any:
        """Return the results; None if the helper is dead."""
        try:
            return self._connection.recv()
        except (OSError, EOFError):
            return None

    def kill(self) -> None:
        """End the process."""
        self._connection.close()
        with contextlib.suppress(OSError):  # it has ended already
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


def _serve(connection: "Connection", function: Callable[[Any], Any]) -> None:
    """Serve requests until the connection closes: the whole life of a helper.

    It keeps no other file open, so that no lock or pipe outlives the main process.
    """
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, connection.fileno())
        os.closerange(connection.fileno() + 1, _MOST_FILES)
        while True:
            connection.send(function(connection.recv()))
    finally:  # the main process repeats the work, and so meets the error itself
        os._exit(1)
