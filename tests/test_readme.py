"""What the documents show is what the tools do: README, examples and docstrings run, and print what they say."""

import doctest
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bnnverify
from bnnverify.cli.main import main
from tests.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DURATION = re.compile(r"\d+(?:\.\d+)? (?:ms|s)\b")
ANY_LINES = "..."


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_s_python_prints_what_it_says():
    session = doctest.DocTestParser().get_doctest("\n".join(blocks("pycon")), {}, "README.md", "README.md", 0)
    assert len(session.examples) > 8
    assert doctest.DocTestRunner().run(session).failed == 0


def commands() -> list[tuple[str, str]]:
    """Each ``$ bnnverify ...`` of the README's console blocks, with the output that is shown below it."""
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def matches(shown: str, printed: str) -> bool:
    """Whether ``printed`` is what is shown, but for durations and where the README leaves something out."""
    lines = [re.escape(DURATION.sub("TIME", line)) for line in shown.rstrip("\n").split("\n")]
    pattern = "".join(
        "(?:.*\n)*?" if line == re.escape(ANY_LINES) else line.replace(re.escape(ANY_LINES), ".*") + "\n"
        for line in lines
    )
    return re.fullmatch(pattern, DURATION.sub("TIME", printed)) is not None


@pytest.mark.parametrize(("command", "shown"), commands(), ids=[command for command, _ in commands()])
def test_the_readme_s_commands_print_what_it_shows(command: str, shown: str, capsys):
    program, *argv = shlex.split(command)
    main(argv)
    captured = capsys.readouterr()
    assert program == "bnnverify"
    assert matches(shown, captured.out + captured.err), captured.out + captured.err


def test_the_comparison_with_the_readme_can_fail():
    assert matches("a 3\n...\nb ...\n", "a 3\nx\ny\nb 4\n")
    assert matches("took 3 ms\n", "took 12.5 s\n")
    assert not matches("a 3\n", "a 4\n")
    assert not matches("a 3\n", "a 3\nb\n")
    assert not matches("...\nb\n", "a\n")


def test_every_option_of_the_readme_s_other_commands_exists():
    from bnnverify.cli.main import build_parser

    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) > 4
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)[1:]).run


@pytest.mark.parametrize("name", ["quickstart.py"])
def test_the_examples_run(name: str):
    found = subprocess.run(
        [sys.executable, REPOSITORY / "examples" / name], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr
    assert "verdict=VIOLATED" in found.stdout
    assert "79167793" in found.stdout


def modules_with_examples() -> list[str]:
    """Names of all modules whose source holds a doctest."""
    found = pkgutil.walk_packages(bnnverify.__path__, "bnnverify.")
    names = [module.name for module in found if module.name != "bnnverify.__main__"]
    root = Path(bnnverify.__path__[0]).parent
    sources = {name: root / Path(*name.split(".")) for name in names}
    files = {name: path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for name, path in sources.items()}
    return [name for name, file in files.items() if ">>> " in file.read_text(encoding="utf-8")]


def test_there_are_docstrings_with_examples():
    assert len(modules_with_examples()) > 10


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_hold(name: str):
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
