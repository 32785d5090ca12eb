"""From audio files, parquet, tars or the Hub to batches of crops.

sources -> tables (where the clips are) -> order (who reads what, when)
        -> crops (decode, integrity) -> stream (of one worker) -> loader (of one rank)
"""
