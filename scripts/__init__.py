"""Commands of the project, each a few lines over ``starpost_dev``."""
