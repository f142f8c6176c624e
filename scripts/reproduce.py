"""`vlalign reproduce` as a script."""

import sys

from vlalign.cli.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
