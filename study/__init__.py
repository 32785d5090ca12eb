"""The paper's claims at small scale: one command trains and probes many small models, another writes the report.

    python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study --quick
    python -m study.report --results runs/study --documents docs/study.md docs/study_tables.md

The study uses musicssl as the entry scripts do; nothing in musicssl imports it.
"""
