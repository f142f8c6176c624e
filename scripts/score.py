"""Score the alignment of models, on one process or many.

torchrun --nproc_per_node 2 scripts/score.py features dinov2-small llama-7b
accelerate launch scripts/score.py image.npy text.npy
"""

import sys

from vlalign.cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("score"))
