"""The command line: one small file a command; library code is imported inside the command that needs it."""
