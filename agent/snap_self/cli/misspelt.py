"""What is said of a command line that cannot be understood: what was meant, as far as that shows.

Nothing is decided by the words of the parser's complaints, only by what they carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import takewhile
from typing import Any

from snap_self.cli.requesting import refuse_option_as_text
from snap_self.errors import UsageError
from snap_self.model.shell import command
from snap_self.model.shown import quoted

PROGRAM = "snap-self"
BEFORE = "--before"
MAIN_JOB = f'{PROGRAM} {BEFORE} "what you are about to do"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Where a word leads that other programs have for a command.

    Args:
        words: such words.
        line: the command line to give instead; ``{id}`` stands for the id after the word, or the
            newest run.
        does: what that does, a clause.
    """

    words: tuple[str, ...]
    line: str
    does: str


MAKES = Pointer(
    words=(
        *("create", "snapshot", "snap", "save", "take", "make", "new", "add", "backup", "start"),
        *("pre", "before", "checkpoint"),
    ),
    line=MAIN_JOB,
    does="makes a snapshot",
)
POINTERS = (
    MAKES,
    Pointer(
        words=("roll-back", "revert", "resetdisk", "reset-disk"),
        line=f"{PROGRAM} rollback {{id}}",
        does="tells what goes back and what is lost, and prints the steps",
    ),
    Pointer(
        words=("undo", "undochange", "back", "recover", "recovery"),
        line=f"{PROGRAM} show {{id}}",
        does="shows every way back, step by step",
    ),
    Pointer(
        words=("browse", "open", "files", "explore"),
        line=f"{PROGRAM} mount {{id}}",
        does="opens a snapshot beside the running system, to look into it",
    ),
    Pointer(
        words=("umount", "close", "eject", "detach", "release"),
        line=f"{PROGRAM} unmount --all",
        does="closes what is open and deletes its temporary disks",
    ),
    Pointer(
        words=("extract", "copy", "undelete", "fetch"),
        line=f"{PROGRAM} restore {{id}} PATH",
        does="brings files back from a snapshot",
    ),
    Pointer(
        words=("changes", "changed", "compare", "difference", "differences", "since", "what"),
        line=f"{PROGRAM} diff {{id}}",
        does="shows what changed on this machine since a snapshot",
    ),
    Pointer(
        words=("validate", "prove", "proof", "fsck", "scrub", "audit"),
        line=f"{PROGRAM} verify {{id}}",
        does="opens a snapshot, checks its filesystems and compares it with what was noted",
    ),
    Pointer(
        words=("describe", "inspect", "view", "details", "info", "get"),
        line=f"{PROGRAM} show {{id}}",
        does="shows one in full: what it holds, and whether it can be used",
    ),
    Pointer(
        words=(
            *("status", "ls", "snapshots", "history", "log", "all", "progress", "wait", "watch"),
            "find",
        ),
        line=f"{PROGRAM} list",
        does="shows the snapshots and how far their uploads are",
    ),
    Pointer(
        words=(
            *("delete", "remove", "rm", "del", "destroy", "clean", "cleanup", "purge", "forget"),
            *("expire", "gc"),
        ),
        line=f"{PROGRAM} prune --dry-run",
        does="shows what may go, `snap-self prune --yes` deletes that; to delete a single one use "
        "the ECS console",
    ),
    Pointer(
        words=("exec", "do", "wrap", "with", "execute"),
        line=f"{PROGRAM} run {BEFORE} TEXT -- COMMAND",
        does="makes a snapshot, then runs a command",
    ),
    Pointer(
        words=("preview", "simulate", "dryrun", "dry-run", "dry", "whatif"),
        line=f"{PROGRAM} plan",
        does="shows what would be done",
    ),
    Pointer(
        words=("sysprep", "generalize", "generalise", "unconfigure", "unregister"),
        line=f"{PROGRAM} reset",
        does="forgets what is kept of this instance, before an image is made of the machine",
    ),
    Pointer(
        words=("unfreeze", "fsunfreeze", "fsfreeze"),
        line=f"{PROGRAM} thaw",
        does="ends a freeze that was left behind",
    ),
    Pointer(
        words=(
            *("health", "diagnose", "test", "preflight", "setup", "init", "install"),
            *("configure", "login", "auth"),
        ),
        line=f"{PROGRAM} doctor",
        does="checks what a snapshot needs, each fault with its mend",
    ),
    Pointer(
        words=("hooks", "apt", "dnf", "yum", "zypper", "pacman", "enable", "disable"),
        line=f"{PROGRAM} hook status",
        does="shows the package managers' hooks; `snap-self hook --help` how to switch them",
    ),
    Pointer(
        words=("nagios", "icinga", "monitor", "alarm"),
        line=f"{PROGRAM} check",
        does="tells a monitoring system whether this machine is protected",
    ),
    Pointer(
        words=("metric", "prometheus", "exporter", "stats"),
        line=f"{PROGRAM} metrics",
        does="prints the metrics for Prometheus",
    ),
    Pointer(words=("version", "about"), line=f"{PROGRAM} --version", does="shows the version"),
    Pointer(
        words=("try", "example", "tutorial", "simulator"),
        line=f"{PROGRAM} demo",
        does="shows the main job on a simulated cloud",
    ),
)
CONFIG_POINTERS = (
    Pointer(
        words=("validate", "verify", "test", "lint", "show", "status", "list", "ls", "get", "set"),
        line=f"{PROGRAM} config check",
        does="tells every fault of the configuration's files",
    ),
)
HOOK_POINTERS = (
    Pointer(
        words=("list", "ls", "show", "check", "test", "info"),
        line=f"{PROGRAM} hook status",
        does="shows whether package managers really call",
    ),
    Pointer(
        words=("on", "add", "install", "register", "start", "set"),
        line=f"{PROGRAM} hook enable",
        does="switches hooks on",
    ),
    Pointer(
        words=("off", "remove", "rm", "delete", "uninstall", "unregister", "stop"),
        line=f"{PROGRAM} hook disable",
        does="switches hooks off",
    ),
)
_BELOW = {f"{PROGRAM} hook": HOOK_POINTERS, f"{PROGRAM} config": CONFIG_POINTERS}


def no_command(
    context: Any, typed: Sequence[str], rest: Sequence[str], known: Sequence[str]
) -> UsageError:
    """Return what is said of a word that is no command.

    Args:
        context: the parser's, of the command below which the word was looked for.
        typed: the whole command line.
        rest: of it the word and what follows.
        known: the commands that there are.

    Raises:
        UsageError: the parser took an option for the text.
    """
    word, path = rest[0], context.command_path
    refuse_option_as_text(context.params.get("before"))
    if line := _in_quotes(typed, context.params.get("before")):
        return _unquoted(line)
    message = f"{_naming(path)}there is no command {quoted(word)}"
    pointer = _pointer(_BELOW.get(path, POINTERS), word)
    if pointer is MAKES:
        line = _making(typed[: len(typed) - len(rest)], rest[1:])
        return UsageError(message, hint=f"`{line}` {pointer.does}")
    if pointer:
        ids = [each for each in rest[1:2] if not each.startswith("-")]
        line = pointer.line.replace("{id}", command(*ids) if ids else "last")
        if path != PROGRAM and ids:  # the package manager that it was to be done for
            line = f"{line} {command(*ids)}"
        return UsageError(message, hint=f"`{line}` {pointer.does}")
    if near := get_close_matches(word, known):
        close = " or ".join(f"`{path} {each}`" for each in near)
        return UsageError(message, hint=f"did you mean {close}? `{path} --help` shows them all")
    if path != PROGRAM:
        return UsageError(message, hint=f"`{path} --help` shows those that there are")
    return _as_text(message, typed[: len(typed) - len(rest)], rest)


def too_many(context: Any, typed: Sequence[str]) -> UsageError:
    """Return what is said of words that a command has no use for.

    Args:
        context: the parser's, of the command; ``args`` are those words.
        typed: the whole command line.
    """
    if line := _in_quotes(typed, context.params.get("before")):
        return _unquoted(line)
    words = " ".join(quoted(word) for word in context.args)
    path = context.command_path
    takes = [_metavar(each) for each in context.command.params if _is_argument(each)]
    what = f"one {takes[0]} at most" if takes else "options only"
    return UsageError(
        f"{_naming(path)}{words} is too much, as it takes {what}", hint=_help_of(path)
    )


def refuse_words_before_hyphens(context: Any, typed: Sequence[str]) -> None:
    """Refuse a text without quotes whose second word would be run as the command.

    Raises:
        UsageError: words follow the text, and ``--`` follows these.
    """
    if line := _in_quotes(typed, context.params.get("before")):
        raise UsageError(
            "it cannot be told where the text ends and the command begins",
            hint=f"put the text in quotes: `{line}`; or, if these words are the command, put -- "
            "before them",
        )


def options_before(context: Any, name: str, given: Sequence[str]) -> UsageError:
    """Return what is said of options in front of a command's name, which never sees them.

    Args:
        context: the parser's, of the program.
        name: the command's.
        given: those options.
    """
    typed: Sequence[str] = (context.obj if context else None) or ()
    message = f"{', '.join(given)} before the word {name} would have no effect"
    below = context.command.whole().commands[name]
    takes = {spelling for each in below.params for spelling in each.opts}
    hint = f"options of a command follow its name: {PROGRAM} {name} …"
    if name in typed and set(given) <= takes:
        place = typed.index(name)
        line = command(PROGRAM, name, *typed[:place], *typed[place + 1 :])
        hint = f"options of a command follow its name: `{line}`"
    before = context.params.get("before")
    if before is not None and (line := _in_quotes(typed, before)):
        return UsageError(message, hint=f"{hint}; if it belongs to the text: `{line}`")
    return UsageError(message, hint=f"{hint}; {_help_of(f'{PROGRAM} {name}')}")


def complaint(error: Any) -> UsageError:
    """Return a complaint of the parser as ours."""
    context = getattr(error, "ctx", None)
    return UsageError(_message(error), hint=_hint(error, context, _path(error)))


def _message(error: Any) -> str:
    missing, option = _missing(error), _unknown_option(error)
    if missing:
        return f"{_naming(_path(error))}{missing} is missing"
    if option:
        return f"{_naming(_path(error))}there is no option {option}"
    if bare := getattr(error, "option_name", None):
        return f"{_naming(_path(error))}{bare} is given without a value"
    param = getattr(error, "param", None)
    least = getattr(getattr(param, "type", None), "min", None)
    if param is not None and least is not None:
        name, value = param.opts[0], _value(getattr(error, "ctx", None), param)
        instead = "" if value is None else f", not {quoted(value)}"
        return f"{_naming(_path(error))}{name} takes a whole number, {least} or more{instead}"
    return str(error.format_message())


def _value(context: Any, param: Any) -> str | None:
    """Return what was typed for an option, of several the last; None where it cannot be found.

    The parser's complaint has it only within its words.
    """
    typed: Sequence[str] = (context.obj if context else None) or ()
    for place in range(len(typed) - 1, -1, -1):
        name, is_joined, value = typed[place].partition("=")
        if name in param.opts and (is_joined or place + 1 < len(typed)):
            return value if is_joined else typed[place + 1]
    return None


def _hint(error: Exception, context: Any, path: str) -> str:
    if missing := _missing(error):
        return f"{_EXAMPLES.get(missing, '')}{_help_of(path)}"
    if option := _unknown_option(error):
        word = option.removeprefix("--")
        if context and path == PROGRAM and word in context.command.whole().commands:
            return f"that is a command, without hyphens: `{PROGRAM} {word}`"
        if path == PROGRAM and (pointer := _pointer(POINTERS, word)):
            return f"`{pointer.line.replace('{id}', 'last')}` {pointer.does}"
        near: Sequence[str] = getattr(error, "possibilities", None) or ()
        owners = [each for each in _owners(context, option) if each != path]
        if owners:
            return f"it is an option of `{owners[0]}` and follows that; {_help_of(path)}"
        if near := get_close_matches(option, near, n=2) or near:
            return f"did you mean {' or '.join(near)}? {_help_of(path)}"
    return _help_of(path)


_EXAMPLES: Mapping[str, str] = {
    "ID": "`snap-self show last` shows the newest, `snap-self list` the ids of all; ",
    "CMD": f'the command stands after two hyphens: `{PROGRAM} run {BEFORE} "os upgrade" -- '
    "apt-get dist-upgrade`; ",
}


def _missing(error: Exception) -> str:
    """Return what stands in the help for the argument that is missing; empty if none is."""
    param = getattr(error, "param", None)
    is_missing = hasattr(error, "param_type") and param is not None
    return _metavar(param) if is_missing and _is_argument(param) else ""


def _unknown_option(error: Exception) -> str:
    return str(getattr(error, "option_name", "")) if hasattr(error, "possibilities") else ""


def _path(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context else PROGRAM


def _owners(context: Any, option: str) -> Iterator[str]:
    """Yield the commands that take an option."""
    if context is None:
        return
    table = context.find_root().command.whole()
    if _takes(table, option):
        yield f"{PROGRAM} {BEFORE} TEXT"
    for name, each in table.commands.items():
        if not each.hidden and _takes(each, option):
            yield f"{PROGRAM} {name}"


def _takes(parsed: Any, option: str) -> bool:
    return any(
        option in each.opts and not each.hidden for each in parsed.params if not _is_argument(each)
    )


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _naming(path: str) -> str:
    """Return what a message about a command begins with; nothing for the program itself."""
    return f"{path.removeprefix(PROGRAM).strip()}: " if path != PROGRAM else ""


def _help_of(path: str) -> str:
    return f"`{path} --help` shows what it takes"


def _pointer(pointers: Sequence[Pointer], word: str) -> Pointer | None:
    return next((each for each in pointers if word.lower() in each.words), None)


def _in_quotes(typed: Sequence[str], before: object) -> str:
    """Return the command line with the words after the text made part of it.

    Empty where no word follows the text.
    """
    for place, word in enumerate(typed):
        is_value = place and typed[place - 1] == BEFORE and word == before
        if before is None or not (is_value or word == f"{BEFORE}={before}"):
            continue
        more = list(takewhile(_is_word, typed[place + 1 :]))
        if not more:
            return ""
        start = typed[: place - 1] if is_value else typed[:place]
        return command(
            *(PROGRAM, *start, BEFORE, " ".join([str(before), *more])),
            *typed[place + 1 + len(more) :],
        )
    return ""


def _is_word(typed: str) -> bool:
    return not typed.startswith("-")


def _unquoted(line: str) -> UsageError:
    return UsageError(
        "the text after --before has several words", hint=f"put it in quotes: `{line}`"
    )


def _making(start: Sequence[str], rest: Sequence[str]) -> str:
    """Return the main job's command line for what was typed after a word for it."""
    if _has_text(rest):
        return command(PROGRAM, *start, *rest)
    words = list(takewhile(_is_word, rest))
    if not words:
        return MAIN_JOB
    return command(PROGRAM, *start, BEFORE, " ".join(words), *rest[len(words) :])


def _has_text(typed: Sequence[str]) -> bool:
    return any(each == BEFORE or each.startswith(f"{BEFORE}=") for each in typed)


def _as_text(message: str, start: Sequence[str], rest: Sequence[str]) -> UsageError:
    """Take the words for what is about to be done, or for the command that does it."""
    words = list(takewhile(_is_word, rest))
    if "/" in rest[0] and " " not in rest[0]:
        line = f'{PROGRAM} run {BEFORE} "what it does" -- {command(*rest)}'
        return UsageError(message, hint=f"to run it after a snapshot: `{line}`")
    left = rest[len(words) :]
    if _has_text(left):
        return UsageError(message, hint=f"without it: `{command(PROGRAM, *start, *left)}`")
    line = command(PROGRAM, *start, BEFORE, " ".join(words), *left)
    return UsageError(
        message,
        hint=f"if that is what you are about to do: `{line}`; `{PROGRAM} --help` shows all "
        "commands",
    )
