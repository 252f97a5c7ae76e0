"""An application as a project has one, for the tests of what serves it and of the commands that work on it.

It has a domain with a table, packets, routes and a topic, a permission table and a realm with their roles. What the
project of this repository has in their place may change, or be removed, without a word to the framework's tests.
Packets that misbehave: ``tests.framework.probe``.
"""

from pathlib import Path

SPECIMEN = "tests.specimen"
"""Target of ``serve`` and ``Launched``."""
ACTIONS_FILE = Path(__file__).with_name("actions.json")
REALM_FILE = Path(__file__).with_name("realm.json")
