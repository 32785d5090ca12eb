"""The loop and what it turns: objective, update, schedule, guards, checkpoints."""
