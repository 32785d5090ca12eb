"""What a run will cost, and how its batch is cut."""
