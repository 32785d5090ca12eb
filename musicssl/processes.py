"""What the processes of one job agree on."""

from datetime import timedelta

# How long they wait for one another: one fits labels or trains heads alone, where NCCL would give up in minutes.
PATIENCE = timedelta(days=1)
