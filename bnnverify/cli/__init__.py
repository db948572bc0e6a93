"""The command line: parse, call, format. Heavy modules are imported by the command that needs them."""
