"""The command `charrnn`, which `python -m charrnn` is too."""

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Import the command line and run it; a signal before that ends the process in silence."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from charrnn import cli

    return cli.main()


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
