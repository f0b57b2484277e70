"""The documents say what the code does: tables, statuses, commands, links that lead somewhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import document_tables
from snap_self import errors

if TYPE_CHECKING:
    from generator.commandline import Command

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TRANSLATION = ROOT / "packaging/docs/README.zh-CN.md"
STATUSES = ROOT / "packaging/docs/statuses-and-errors.md"
LONGEST_README = 200
EXPLAIN = "run: python packaging/generate.py"
# What deb/build.sh adds to the documents.
ADDED = {"deb": ("copyright",), "rpm": (), "plain": ()}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def for_users() -> list[Path]:
    """Return the documents that are installed too."""
    guides = [ROOT / f"packaging/{name}/README.md" for name in ("ram", "terraform")]
    pages = [*ROOT.glob("packaging/docs/*.md"), *guides]
    return [README, ROOT / "SECURITY.md", *sorted(pages)]


def all_documents() -> list[Path]:
    folders = [*ROOT.glob("packaging/**/*.md"), *ROOT.glob("tests/**/README.md")]
    return sorted({*ROOT.glob("*.md"), *folders})


@pytest.mark.parametrize(
    ("name", "table"),
    [(name, table) for name, tables in document_tables.DOCUMENTS.items() for table in tables],
)
def test_generated_table_is_what_the_code_says(name: str, table: str) -> None:
    made = document_tables.DOCUMENTS[name][table]()
    assert dict(document_tables.in_document(name))[table] == made, EXPLAIN


def test_each_exit_status_is_told_once() -> None:
    rows = read(STATUSES).split("## Exit statuses")[1].split("\n## ")[0]
    wanted = [str(int(status)) for status in errors.ExitStatus]
    assert re.findall(r"^\| ([0-9+n]+) \|", rows, re.MULTILINE) == [*wanted, "128+n"]


def test_each_schema_that_people_need_is_named() -> None:
    named = set(re.findall(r"`([a-z-]+\.schema\.json)`", read(ROOT / "packaging/docs/json.md")))
    there = {path.name for path in ROOT.glob("agent/snap_self/data/schema/*.schema.json")}
    # What a hook asks for itself.
    assert named == there - {"hook-covers.schema.json"}


def test_nothing_tells_to_take_snap_self_from_a_package_index() -> None:
    # Whoever has that name there is not us, and would be run as root.
    asked = re.compile(r"(pip|pipx|tool) install ['\"]?snap-self|snap-self\[[a-z]")
    sources = [*all_documents(), *(ROOT / "agent/snap_self").rglob("*.py")]
    assert [str(path) for path in sources if asked.search(read(path))] == []


# --- links -----------------------------------------------------------------------------------


def links(text: str) -> list[str]:
    """Return where a document's links lead, those to other hosts left out."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^()\s]+)\)", prose)
    return [each for each in found if not each.startswith(("https://", "http://"))]


def anchors(text: str) -> set[str]:
    """Return the names of a document's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(document: Path) -> Iterator[str]:
    """Yield each link of a document that leads to no file, or to no heading of it."""
    for link in links(read(document)):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in anchors(read(target))):
            yield f"{document}: {link}"


@pytest.mark.parametrize("document", all_documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_checkout_lead_somewhere(document: Path) -> None:
    assert list(dead_links(document)) == []


@pytest.mark.parametrize("flavour", ADDED)
def test_links_of_installed_documents_lead_somewhere(flavour: str, tmp_path: Path) -> None:
    script = ROOT / "packaging/stage.sh"
    subprocess.run([script, tmp_path, flavour, "--no-tree"], check=True, timeout=60)
    folder = tmp_path / "usr/share/doc/snap-self"
    for name in ADDED[flavour]:
        (folder / name).touch()
    documents = sorted(folder.rglob("*.md"))
    assert len(documents) == len(for_users())
    assert [dead for document in documents for dead in dead_links(document)] == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links(read(README))}
    pages = {str(path.relative_to(ROOT)) for path in ROOT.glob("packaging/docs/*.md")}
    assert pages - linked == set()


# --- the README and its translation ----------------------------------------------------------


@pytest.mark.parametrize("path", [README, TRANSLATION], ids=lambda path: path.name)
def test_readme_is_read_in_minutes(path: Path) -> None:
    assert len(read(path).splitlines()) <= LONGEST_README


def headings(text: str) -> list[int]:
    """Return the depth of each heading."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]


def commands(text: str) -> list[str]:
    """Return the lines of all code blocks without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s*# .*", "", line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def words_of_code(text: str) -> list[str]:
    """Return what stands between backticks in prose and tables, in any order."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return sorted(re.findall(r"`([^`]+)`", prose))


def rows(text: str) -> list[int]:
    """Return how many cells each row of each table has."""
    return [line.count(" |") for line in text.splitlines() if line.startswith("| ")]


def targets(text: str) -> set[str]:
    """Return the names of the files that are linked."""
    found = {link.partition("#")[0].rpartition("/")[2] for link in links(text)}
    return found - {README.name, TRANSLATION.name, ""}


@pytest.mark.parametrize("part", [headings, commands, words_of_code, rows, targets])
def test_translation_of_readme_has_the_same(part: object) -> None:
    assert callable(part)
    assert part(read(TRANSLATION)) == part(read(README))


# --- commands and options --------------------------------------------------------------------

WORD = re.compile(r"[a-z][a-z-]*")


def spelled(text: str) -> Iterator[list[str]]:
    """Yield the words of every snap-self command in code: blocks, and between backticks."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" # ")[0] for block in blocks for line in block.splitlines()]
    for line in [*lines, *words_of_code(text)]:
        for found in re.findall(r"(?:^|sudo |&& )snap-self ([^|&;>]+)", " ".join(line.split())):
            yield found.split(" -- ")[0].split()


def unknown(program: Command, words: list[str]) -> Iterator[str]:
    """Yield the command's words that the command line does not know."""
    command = program
    while words and WORD.fullmatch(words[0]):
        below = {each.name: each for each in command.commands}
        if words[0] not in below:
            if command.commands:
                yield words[0]
            break
        command, words = below[words[0]], words[1:]
    known = {name for option in command.options for name in option.names}
    yield from (w for w in words if w.startswith("--") and w.partition("=")[0] not in known)


@pytest.mark.parametrize("document", for_users(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_are_those_of_the_program(document: Path) -> None:
    program = document_tables.the_program()
    wrong = [
        f"snap-self {' '.join(words)}: {word}"
        for words in spelled(read(document))
        for word in unknown(program, words)
    ]
    assert wrong == []


def test_commands_in_code_are_found() -> None:
    text = "`snap-self list --wrong 5`\n```sh\nsudo snap-self fly  # now\n```\n"
    program = document_tables.the_program()
    found = [word for words in spelled(text) for word in unknown(program, words)]
    assert sorted(found) == ["--wrong", "fly"]
