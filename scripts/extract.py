"""Extract features of every layer of models, on one process or many.

accelerate launch scripts/extract.py --model llama-7b
accelerate launch --num_processes 4 scripts/extract.py --model-set prh
accelerate launch --num_processes 1 scripts/extract.py --model llama-65b --parallel split
torchrun --nproc_per_node 2 scripts/extract.py --model bloomz-560m --cpu
"""

import sys

from vlalign.cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("extract"))
