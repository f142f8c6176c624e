"""``python -m vlalign``, the same as ``vlalign``."""

import sys

from vlalign.cli import main

if __name__ == "__main__":
    sys.exit(main())
