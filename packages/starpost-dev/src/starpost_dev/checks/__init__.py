"""Checks of a project that run no code of it."""
