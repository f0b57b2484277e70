"""Draw packaging/docs/first-snapshot.svg: a terminal in which snap-self is really run.

It runs against the simulated ECS, on a made-up machine: nothing of this one is looked at. Ids are
given or follow from a seed; times are replaced by fixed ones. So the picture only changes when what
people see does, and a test holds that it is current. Run it after such a change:
``.venv/bin/python packaging/picture.py``. It needs pyte, which the tests need too.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import pyte

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "packaging/docs/first-snapshot.svg"
# A folder that root, too, trusts; one of its own is made there.
FILES = "/var/tmp"  # nosec B108  # noqa: S108
COLUMNS, ROWS = 80, 24
# Of the whole picture: more than one screen would hold shows at once.
LONGEST = 3 * ROWS
COMMANDS = ('snap-self --before "os upgrade"', "snap-self list")
CLOUD = {
    "seed": 4711,
    "instances": [
        {
            "instance_id": "i-bp1hzeqd8kqm2xw5tr7f",
            "disks": [
                {"disk_id": "d-bp1a8wm3ufjv6tq0zl5e", "size_gib": 40},
                {"disk_id": "d-bp1gk2rn9cyx4bd7hs3p", "size_gib": 100},
            ],
        }
    ],
}


def main(arguments: Sequence[str]) -> int:
    """Draw the picture and return the exit status."""
    parser = argparse.ArgumentParser(description="Draw the README's picture from a real run.")
    parser.add_argument("--output", metavar="FILE", default=str(PICTURE), help="- is stdout")
    output = parser.parse_args(arguments).output
    today = datetime.now(timezone.utc).date()
    drawn = svg([settled(row, today) for row in played()])
    if output == "-":
        sys.stdout.write(drawn)
    else:
        Path(output).write_text(drawn, encoding="utf-8")
    return 0


# --- the run ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One character as the terminal shows it; colour is a name, or empty for the usual one."""

    text: str
    colour: str = ""
    bold: bool = False


Row = list[Cell]


def played() -> list[Row]:
    """Run the commands in a terminal and return what it shows, without empty rows at the end."""
    screen = pyte.Screen(COLUMNS, LONGEST)
    stream = pyte.ByteStream(screen)
    with tempfile.TemporaryDirectory(prefix="snap-self-picture-", dir=FILES) as made:
        folder = Path(made)
        with _cloud(folder) as said:
            _make_up_machine(folder, said)
            for command in COMMANDS:
                stream.feed(_prompt(command) + _shown(_words(command, folder), _env(folder, said)))
                stream.feed(b"\r\n")
    rows = [_row(screen, number) for number in range(LONGEST)]
    while rows and not "".join(cell.text for cell in rows[-1]).strip():
        rows.pop()
    return rows


def _prompt(command: str) -> bytes:
    return f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\r\n".encode()


def _words(command: str, folder: Path) -> list[str]:
    """Return the arguments behind the program's name; the made-up machine is not shown."""
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)][1:]
    return [*words, "--recorded", str(folder)] if words[0].startswith("--") else words


@contextmanager
def _cloud(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Run the simulated ECS inside the block; give what it says of itself."""
    description = folder / "cloud.json"
    description.write_text(json.dumps(CLOUD), encoding="utf-8")
    options = ("--config", str(description), "--storage", "none", "--die-with-parent")
    kept = ("SNAP_SELF_TEST_SECRETS_DIR", "XDG_RUNTIME_DIR")
    with subprocess.Popen(
        [sys.executable, "-m", "ecs_simulator", *options, "--state-dir", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_clean() | {name: os.environ[name] for name in kept if name in os.environ},
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def _make_up_machine(folder: Path, said: Mapping[str, Any]) -> None:
    """Write what the kernel of a machine with these disks would say."""
    sys.path.insert(0, str(ROOT / "agent"))
    from snap_self.cli.demo import made_up_machine
    from snap_self.cli.simulated import SimulatedDisk
    from snap_self.disks import recording
    from snap_self.system.disks.recorded import MACHINE

    disks = [
        SimulatedDisk(
            disk_id=disk["disk_id"],
            serial=disk["serial"],
            size_gib=disk["size_gib"],
            device="",
            fstype="",
            mount="",
        )
        for disk in said["disks"]
    ]
    text = recording.dump(made_up_machine(disks))
    (folder / MACHINE).write_text(text, encoding="utf-8")


def _env(folder: Path, said: Mapping[str, Any]) -> dict[str, str]:
    return {
        **_clean(),
        "TERM": "xterm-256color",
        "HOME": str(folder),
        "SNAP_SELF_METADATA_URL": said["metadata_url"],
        "SNAP_SELF_ECS_ENDPOINT": said["ecs_url"],
        "SNAP_SELF_STATE_DIR": str(folder / "state"),
        "SNAP_SELF_FOLLOW_ENABLED": "false",
        # Of a made-up machine nothing can be flushed.
        "SNAP_SELF_SNAPSHOT_CONSISTENCY": "crash",
    }


def _clean() -> dict[str, str]:
    path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    return {"PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT / "agent")}


def _shown(words: Sequence[str], env: Mapping[str, str]) -> bytes:
    """Return all that the command writes to its terminal.

    Raises:
        RuntimeError: it ended with another status than 0.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "snap_self", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd="/",
        env=dict(env),
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b"".join(_read(ours))
        os.close(ours)
    if process.returncode != 0:
        raise RuntimeError(f"status {process.returncode}\n{shown.decode(errors='replace')}")
    return shown


def _read(descriptor: int) -> Iterator[bytes]:
    try:
        while data := os.read(descriptor, 65536):
            yield data
    except OSError:  # EIO: nobody has the terminal open any more
        return


def _row(screen: pyte.Screen, number: int) -> Row:
    line = [screen.buffer[number][column] for column in range(COLUMNS)]
    return [Cell(each.data, each.fg.removeprefix("default"), each.bold) for each in line]


# --- what differs from run to run ------------------------------------------------------------

DAY = date(2026, 3, 14)
RUN = "20260314t031207z-5e1fa0"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def settled(row: Row, today: date) -> Row:
    """Return a row of today with the times of one fixed run in their places."""
    for pattern, put in REPLACED:
        text = "".join(cell.text or " " for cell in row)
        for found in reversed(list(re.finditer(pattern, text))):
            begin, end = found.span()
            first = row[begin]
            new = [Cell(each, first.colour, first.bold) for each in put(found, today)]
            row = [*row[:begin], *new, *row[end:]]
    return row


def _iso_day(found: re.Match[str], today: date) -> str:
    return (DAY + (date.fromisoformat(found[0]) - today)).isoformat()


def _short_day(found: re.Match[str], today: date) -> str:
    """Return a day without its year, which is one of the next twelve months."""
    month = MONTHS.index(found[2]) + 1
    year = today.year + ((month, int(found[1])) < (today.month, today.day))
    then = DAY + (date(year, month, int(found[1])) - today)
    return f"{then.day} {MONTHS[then.month - 1]}"


Put = Callable[["re.Match[str]", date], str]
REPLACED: tuple[tuple[str, Put], ...] = (
    (r"\b\d{8}t\d{6}z-[0-9a-f]{6}\b", lambda _, __: RUN),
    (r"\b\d{4}-\d\d-\d\d\b", _iso_day),
    (rf"\b(\d{{1,2}}) ({'|'.join(MONTHS)})\b", _short_day),
    (r"\b\d\d:\d\d:\d\d\b", lambda _, __: "03:12:09"),
    (r"(?<![:\d])\d\d:\d\d\b(?!:)", lambda _, __: "03:12"),
    (r"\b\d+(\.\d+)? s\b", lambda _, __: "2 s"),
    # In a table, where the columns behind it stay in their places.
    (r"\b\d+s\b", lambda found, _: "3s".ljust(len(found[0]))),
)

# --- the drawing -----------------------------------------------------------------------------

CELL_WIDTH, CELL_HEIGHT, MARGIN, TITLE = 8.4, 18, 14, 30
BACKGROUND, FOREGROUND = "#1e2127", "#d7dae0"
COLOURS = {
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d7dae0",
}
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def svg(rows: Sequence[Row]) -> str:
    """Return the picture of a terminal window with these rows."""
    drawn = [_drawn(number, row) for number, row in enumerate(rows)]
    width = round(COLUMNS * CELL_WIDTH + 2 * MARGIN)
    height = len(drawn) * CELL_HEIGHT + TITLE + MARGIN
    lights = "".join(
        f'<circle cx="{MARGIN + 6 + 18 * place}" cy="16" r="5.5" fill="{colour}"/>'
        for place, colour in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    return "\n".join(
        [
            "<!-- Made by packaging/picture.py from a real run; do not edit. -->",
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img">',
            "<title>snap-self in a terminal</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
            lights,
            f'<g font-family="{FONT}" font-size="14" fill="{FOREGROUND}" xml:space="preserve">',
            *(line for line in drawn if line),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _drawn(number: int, row: Row) -> str:
    """Return one row's text, a piece for each stretch of one colour and weight."""
    y = TITLE + (number + 1) * CELL_HEIGHT - 5
    pieces = []
    column = 0
    for (colour, bold), cells in groupby(row, key=lambda cell: (cell.colour, cell.bold)):
        text = "".join(cell.text for cell in cells)
        if text.strip():
            pieces.append(_piece(text, column, y, _paint(colour, bold=bold)))
        column += len(text)
    return "".join(pieces)


def _piece(text: str, column: int, y: int, paint: str) -> str:
    lead = len(text) - len(text.lstrip())
    text = text.strip()
    x = MARGIN + (column + lead) * CELL_WIDTH
    # The length keeps columns in line whatever font there is.
    length = len(text) * CELL_WIDTH
    place = f'x="{x:.1f}" y="{y}" textLength="{length:.1f}"'
    return f"<text {place}{paint}>{escape(text, quote=False)}</text>"


def _paint(colour: str, *, bold: bool) -> str:
    plain = colour.removeprefix("bright")
    fill = COLOURS.get(plain) or (f"#{colour}" if re.fullmatch("[0-9a-f]{6}", colour) else "")
    return (f' fill="{fill}"' if fill else "") + (' font-weight="bold"' if bold else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
