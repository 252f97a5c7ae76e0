"""Finding the real Keycloak: what is said where it cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from starpost_dev.keycloak.distribution import (
    KeycloakUnavailableError,
    cache_folder,
    find_java,
    find_keycloak,
    verify_archive,
)


def write_program(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_no_java(tmp_path: Path) -> None:
    with pytest.raises(KeycloakUnavailableError, match="needs Java 17 or newer: install one"):
        find_java({"PATH": str(tmp_path)})


def test_java_home_without_java(tmp_path: Path) -> None:
    with pytest.raises(KeycloakUnavailableError, match="JAVA_HOME"):
        find_java({"PATH": os.environ["PATH"], "JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize("said", ['java version "1.8.0_402"', 'openjdk version "11.0.2" 2019-01-15', "nonsense"])
def test_java_that_is_too_old(tmp_path: Path, said: str) -> None:
    write_program(tmp_path / "bin" / "java", f"echo '{said}' >&2")

    with pytest.raises(KeycloakUnavailableError, match="needs Java 17 or newer"):
        find_java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.parametrize("said", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16'])
def test_java_that_is_new_enough(tmp_path: Path, said: str) -> None:
    java = write_program(tmp_path / "bin" / "java", f"echo '{said}' >&2")

    assert find_java({"JAVA_HOME": str(tmp_path)}) == java


def test_keycloak_home_is_used_first(tmp_path: Path) -> None:
    write_program(tmp_path / "bin" / "kc.sh", "")

    assert find_keycloak({"KEYCLOAK_HOME": str(tmp_path)}) == tmp_path


def test_keycloak_home_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeycloakUnavailableError, match=r"is not a Keycloak: it has no bin/kc\.sh"):
        find_keycloak({"KEYCLOAK_HOME": str(tmp_path)})


def test_one_fetched_earlier_needs_no_maven(tmp_path: Path) -> None:
    home = tmp_path / "starpost" / "keycloak" / "keycloak-26.7.2"
    home.mkdir(parents=True)

    assert find_keycloak({"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}) == home


def test_no_maven(tmp_path: Path) -> None:
    with pytest.raises(KeycloakUnavailableError, match="fetched with Maven: install it"):
        find_keycloak({"XDG_CACHE_HOME": str(tmp_path), "PATH": ""})


def test_maven_that_fails(tmp_path: Path) -> None:
    write_program(tmp_path / "bin" / "mvn", "echo '[ERROR] no route to host'; exit 1")

    with pytest.raises(KeycloakUnavailableError, match=r"could not fetch Keycloak 26\.7\.2: .*no route to host"):
        find_keycloak({"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"})

    assert not list(cache_folder({"XDG_CACHE_HOME": str(tmp_path)}).glob("keycloak-*"))


def test_another_archive_is_refused(tmp_path: Path) -> None:
    # Maven that brings something else under the right name.
    script = 'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done; echo x > "$d/$NAME"'
    write_program(tmp_path / "bin" / "mvn", f"NAME=keycloak-quarkus-dist-26.7.2.zip; {script}")

    with pytest.raises(KeycloakUnavailableError, match="is not the expected one: its SHA-256 is"):
        find_keycloak({"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"})

    assert not list(cache_folder({"XDG_CACHE_HOME": str(tmp_path)}).glob("keycloak-*"))


def test_the_expected_archive(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"abc")

    verify_archive(archive, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_the_cache_is_the_user_s(tmp_path: Path) -> None:
    assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "starpost" / "keycloak"


def test_the_command_says_what_to_install_and_ends_with_3(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "starpost_dev.keycloak"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 3
    assert ended.stdout == ""
    assert ended.stderr.startswith("keycloak: the real Keycloak needs Java 17 or newer")
    assert ended.stderr.count("\n") == 1


def test_a_server_that_ends_at_its_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_program(home / "bin" / "kc.sh", "echo broken; exit 1")
    write_program(tmp_path / "bin" / "java", "echo 'openjdk version \"17\"' >&2")

    ended = subprocess.run(
        [sys.executable, "-m", "starpost_dev.keycloak", "--state", str(tmp_path / "state")],
        env={**os.environ, "KEYCLOAK_HOME": str(home), "JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 3
    assert "Keycloak ended at its start; see" in ended.stderr
    assert "broken" in (tmp_path / "state" / "keycloak.log").read_text()
