"""Probe frozen audio encoders on labelled music and print what they know; the same as `musicssl probe`.

python run_probing.py --model DIR --custom_task FOLDER --label COLUMN      # your own labels
python run_probing.py --model DIR --data_root FOLDER --tasks all           # the 13 tasks
python run_probing.py --data_root FOLDER --tasks available                 # which of them are there
python run_probing.py --compare FOLDER FOLDER                              # finished results side by side
"""

import sys

from musicssl.commands.probe import main
from musicssl.errors import run_as_command

if __name__ == "__main__":
    sys.exit(run_as_command(main))
