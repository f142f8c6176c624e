"""`vlalign push-results` as a script."""

import sys

from vlalign.cli.push_results import main

if __name__ == "__main__":
    sys.exit(main())
