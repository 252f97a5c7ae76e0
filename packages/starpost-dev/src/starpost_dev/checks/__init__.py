"""Checks of a project: style, contracts of imports, lock files, documents.

``python -m starpost_dev.checks.check`` runs all of them, or those that are named; ``CHECKS`` has the command of each::

    from starpost_dev.checks.check import CHECKS

    CHECKS["types"]     # ("mypy",)
"""
