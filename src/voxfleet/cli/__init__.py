"""The command line: settings in, running program out. Nothing heavy is imported before a command needs it."""
