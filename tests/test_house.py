"""The house stands as drawn: every top-level package has a contract, and the library needs no server."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_ROOMS = {"tests", "bench", "examples"}


def _packages() -> set[str]:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    loose = {path.parent.name for path in ROOT.glob("*/*.py")}
    return (found | loose) - NOT_ROOMS


class TestHouse:
    def test_names_every_top_level_package_in_the_contracts(self):
        """import-linter lets a package escape that no contract names."""
        linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
        layers = {name.strip() for layer in linter["contracts"][0]["layers"] for name in layer.split("|")}
        assert _packages() == set(linter["root_packages"]) == layers

    def test_type_checks_and_measures_every_room(self):
        tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
        assert set(tools["mypy"]["files"]) == _packages() == set(tools["coverage"]["run"]["source"])

    def test_has_no_relative_imports(self):
        for room in _packages():
            for path in (ROOT / room).rglob("*.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    assert not (isinstance(node, ast.ImportFrom) and node.level), path

    def test_gives_every_module_a_sentence(self):
        for room in _packages():
            for path in (ROOT / room).rglob("*.py"):
                if "migrations" in path.parts or ("management" in path.parts and path.name == "__init__.py"):
                    continue
                docstring = ast.get_docstring(ast.parse(path.read_text()))
                assert docstring, f"{path.relative_to(ROOT)} does not say what it is"

    def test_imports_the_library_without_django(self):
        """A PEP and an auditor install the library alone; nothing of the server may be pulled in."""
        program = (
            "import sys, countersign.cli, countersign.proof.command, countersign.policy.command, countersign.pep.command;"
            "assert not {'django', 'celery', 'psycopg', 'rest_framework'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=ROOT)
