"""`vlalign synthetic` as a script: accelerate launch scripts/synthetic.py run --config synthetic/paper.yaml"""

import sys

from vlalign.cli.synthetic import main

if __name__ == "__main__":
    sys.exit(main())
