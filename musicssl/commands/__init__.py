"""The command lines of the package, one module each: parse, call, print."""
