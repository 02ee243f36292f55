"""The settings of the package against the tree they speak of."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]


def folder_of(package: str) -> Path:
    """Where a package's files lie: the mapping of the longest parent that has one."""
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        if (mapped := FOLDERS.get(".".join(parts[:length]))) is not None:
            return ROOT.joinpath(mapped, *parts[length:])
    raise AssertionError(package)


def packages_in_the_tree() -> set[str]:
    found = set()
    for name, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):  # does not follow the links
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def test_the_listed_packages_are_those_of_the_tree() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages_in_the_tree())


def test_no_folder_of_modules_is_without_its_init() -> None:
    """It would import here and be missing from the wheel."""
    roots = [ROOT / folder for folder in FOLDERS.values()]
    modules = {path.parent for root in roots for path in root.rglob("*.py")}

    assert sorted(str(folder) for folder in modules if not (folder / "__init__.py").exists()) == []


@pytest.mark.parametrize("name", ["scheduler", "forecasters", "workers"])
def test_each_link_points_at_its_mapped_folder(name: str) -> None:
    link = ROOT / "carbonq" / name

    assert link.readlink() == Path("..") / name
    assert link.resolve() == (ROOT / FOLDERS[f"carbonq.{name}"]).resolve()


@pytest.mark.parametrize(
    ("package", "pattern"),
    [(package, pattern) for package, patterns in SETUPTOOLS["package-data"].items() for pattern in patterns],
)
def test_each_pattern_of_data_files_matches(package: str, pattern: str) -> None:
    assert package in SETUPTOOLS["packages"]
    assert list(folder_of(package).glob(pattern)) != []


def test_every_data_file_is_named_by_a_pattern() -> None:
    """What is no module and no cache is read at run time, so the wheel must have it."""
    named = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folder_of(package).glob(pattern)
    }
    files = {
        path
        for folder in FOLDERS.values()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }

    assert sorted(map(str, files - named)) == []


def test_the_installed_version_is_the_projects() -> None:
    assert metadata.version("carbonq") == PROJECT["project"]["version"]
