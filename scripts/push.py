"""`vlalign push` as a script."""

import sys

from vlalign.cli.push import main

if __name__ == "__main__":
    sys.exit(main())
