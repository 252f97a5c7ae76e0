"""Jinja extension of ``cookiecutter.json``: where this repository is, and answers that cannot be used.

The name is one that nothing else has: Cookiecutter puts this folder at the end of Python's path.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

ROOT = Path(__file__).resolve().parent


def checked(found: Mapping[str, object]) -> str:
    """Refuse answers that cannot be used, before anything is written.

    Raises:
        FailedHookException: With the reason, which is what Cookiecutter prints.
    """
    loader = SourceFileLoader("starpost_answers", str(ROOT / "template" / "exporter" / "answers.py"))
    answers = ModuleType(loader.name)
    # Its dataclass looks its own module up.
    sys.modules[loader.name] = answers
    loader.exec_module(answers)
    try:
        answers.Answers(*(str(found[name]) for name in ("project_name", "project_slug", "module_name")))
    except answers.AnswersError as error:
        raise FailedHookException(str(error)) from error
    return ""


class Checkout(Extension):
    """``checkout``, the folder of this repository, and the filter ``checked``."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals["checkout"] = str(ROOT)
        environment.filters["checked"] = checked
