"""`python -m charrnn` is the command `charrnn`."""

import sys

from charrnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
