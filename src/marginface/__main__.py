"""`python -m marginface`, and so `torchrun -m marginface train ...`."""

import sys

from marginface.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
