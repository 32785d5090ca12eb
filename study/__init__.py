"""The paper's claims in miniature: many small models, trained and probed by one command, reported by another.

    python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study --quick
    python -m study.report --results runs/study --document docs/study.md

The study stands on musicssl as the entry scripts do; nothing imports it.
"""
