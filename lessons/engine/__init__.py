"""What makes lessons out of Python files: parsing, checking, progress, notebooks, command line."""
