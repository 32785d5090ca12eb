"""Pre-train music2vec or musicHuBERT: the same as `musicssl pretrain`.

accelerate launch run_pretraining.py --config music2vec_tiny --train_data FOLDER --output_dir runs/a
"""

import sys

from musicssl.commands.pretrain import main
from musicssl.errors import run_as_command

if __name__ == "__main__":
    sys.exit(run_as_command(main))
