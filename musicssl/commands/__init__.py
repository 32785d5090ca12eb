"""The command line: one file per command, each with `main(command_line=None)`. They parse and print, nothing else."""
