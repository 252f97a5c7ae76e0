"""Parts of an application, by the names that its layout gives them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    # A command that only starts others waits for none of it.
    from litestar import Litestar

    from starpost.composition import Blueprint
    from starpost.settings import Settings


@dataclass(frozen=True)
class Project:
    """Project whose application is the package ``module``. Each part is imported when it is first used."""

    module: str

    @property
    def settings(self) -> type[Settings]:
        """Class of its settings, ``Settings`` of the module ``settings``."""
        found: type[Settings] = self._import("settings").Settings
        return found

    @property
    def sign_in_defaults(self) -> dict[str, str]:
        """Realm and client, by their variables, where the installation names no others."""
        defaults = {field.name: field.default for field in msgspec.structs.fields(self.settings)}
        return {name.upper(): defaults[name] for name in ("keycloak_realm", "keycloak_client_id")}

    @property
    def domains(self) -> ModuleType:
        """Package of its domains."""
        return self._import("domains")

    @property
    def pkg_ids(self) -> type[IntEnum]:
        """Numbers of its packets, ``PkgID`` of the module ``pkg_ids``."""
        found: type[IntEnum] = self._import("pkg_ids").PkgID
        return found

    def application(self) -> Litestar:
        """Make the application as a worker would, without starting it.

        Raises:
            SettingsError: One or more variables are wrong.
            StartError: The application cannot be made; each fault is named.
        """
        made: Litestar = self._import("asgi").create(self.settings.load())
        return made

    def blueprint(self) -> Blueprint:
        """Check the code and the permission table, as a start would.

        Raises:
            SettingsError: One or more variables are wrong.
            StartError: The application cannot be made; each fault is named.
        """
        found: Blueprint = self.application().state.blueprint
        return found

    def _import(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.module}.{name}")
