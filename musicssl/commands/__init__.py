"""The commands of `musicssl` and of the two scripts: flags and printing, one file per command."""
