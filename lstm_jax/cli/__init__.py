"""One small file a command: arguments and printing only."""
