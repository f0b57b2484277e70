"""How our Python process starts another one that loads only the modules this process would load.

``python -m`` looks for modules in the current directory first, and ``PYTHONPATH`` names more places
of the caller's choice. A child is isolated from both (``-I``) and told where to look. It writes no
bytecode (``-B``), and leaves out the ``site`` module if this process did (``-S``).
"""

from __future__ import annotations

import os
import sys

from snap_self.system.trust import distrust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

AGENT = "snap_self.cli.entry"
_ROOT = os.path.realpath(f"{__file__}/../../..")
# The given places come first; then those that an isolated interpreter searches by default.
_BOOT = (
    "import sys; n = int(sys.argv[1]); sys.path[:] = dict.fromkeys(sys.argv[2:n + 2] + sys.path); "
    "sys.argv[:] = ['snap-self', *sys.argv[n + 2:]]; from {module} import main; sys.exit({call})"
)
_BARE_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from {module} import main; main()"


def child_command(
    arguments: Sequence[str], *, module: str = AGENT, call: str = "main()"
) -> tuple[str, ...]:
    """Return a command for another Python that finds the same modules; by default the agent.

    Args:
        module: one of ours, with a function ``main``.
        call: how it is called; its result is the exit status.
    """
    path = search_path()
    code = _BOOT.format(module=module, call=call)
    site = ("-S",) if sys.flags.no_site else ()
    return (sys.executable, "-I", *site, "-B", "-c", code, str(len(path)), *path, *arguments)


def bare_command(arguments: Sequence[str], *, module: str) -> tuple[str, ...]:
    """Return a command for another Python with only the standard library and our own code.

    Args:
        module: one of ours, with a function ``main`` that takes nothing and returns nothing.
    """
    code = _BARE_BOOT.format(module=module)
    return (sys.executable, "-I", "-S", "-B", "-c", code, _ROOT, *arguments)


def search_path() -> tuple[str, ...]:
    """Return where a child looks for modules: where this process does, with some places left out.

    The current directory is left out, and for root each place that somebody else can change: it
    came from the caller, or the interpreter knows it anyway.
    """
    here = _current_directory()
    kept = [
        entry
        for entry in sys.path
        if entry == _ROOT or (entry.startswith("/") and entry != here and _trusted(entry))
    ]
    return tuple(kept) if _ROOT in kept else (_ROOT, *kept)


def is_beside_us(module: str) -> bool:
    """Return whether a package is beside the agent's own package."""
    return os.path.isfile(f"{_ROOT}/{module}/__init__.py")  # noqa: PTH113


def _current_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # it was removed
        return ""


def _trusted(place: str) -> bool:
    try:
        return distrust(place, sticky=False) is None
    except OSError:
        return False
