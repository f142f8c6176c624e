"""`vlalign multibench` as a script: python scripts/multibench.py prepare mosi mosi_raw.pkl"""

import sys

from vlalign.cli.multibench import main

if __name__ == "__main__":
    sys.exit(main())
