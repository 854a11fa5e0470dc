"""Sources, pipeline steps and loaders."""
