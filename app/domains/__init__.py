"""The business: a folder for each domain."""
