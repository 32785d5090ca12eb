"""What a run costs, and how its batch is divided over processes and forward passes."""
