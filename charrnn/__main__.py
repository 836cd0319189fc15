"""The command `charrnn`, which `python -m charrnn` is too."""

import contextlib
import os
import signal
import sys
from types import FrameType

_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def main() -> int:
    """Import the command line and run it; a signal before that ends the process in silence."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from charrnn import cli
    from charrnn.parallel import processes

    code = cli.main()
    if code in _INTERRUPTED and processes.world() is processes.ALONE:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)  # threads that are still at work are not waited for
    return code


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
