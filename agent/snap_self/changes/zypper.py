"""The conversation with libzypp, which speaks with its commit plugins in frames.

It sends PLUGINBEGIN, COMMITBEGIN with the packages, COMMITEND, PLUGINEND and _DISCONNECT, and waits
for an answer to each. It knows no answer that stops a commit: a plugin that fails is dropped and
the commit goes on. The one way is to signal the zypper process itself before it is answered: it
ends with status 8, having changed nothing.

Source: libzypp, ``doc/autoinclude/CommitPlugin.doc``.
"""

from __future__ import annotations

from snap_self.changes.conversation import PROCEED_STATUS, STOP_STATUS, Conversation
from snap_self.changes.json_text import parse_json
from snap_self.changes.zypp_frames import Frame, FrameReader, escape
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO, TextIO

    from snap_self.changes.conversation import Outside

MANAGER = "zypper"
ACK = b"ACK\n"
END_OF_ANSWER = b"\n\0"
COMMIT_BEGIN = "COMMITBEGIN"
DISCONNECT = "_DISCONNECT"
KNOWN = ("PLUGINBEGIN", COMMIT_BEGIN, "COMMITEND", "PLUGINEND", DISCONNECT)
# libzypp's own limit for a byte to arrive, and what an administrator changes it with.
USUAL_SILENCE_S = 30.0
SILENCE_VARIABLES = ("ZYPP_PLUGIN_RECEIVE_TIMEOUT", "ZYPP_PLUGIN_TIMEOUT")
UPDATE_VARIABLE = "TRANSACTIONAL_UPDATE"
# The process that libzypp is a part of.
CALLER_VARIABLE = "ZYPP_IS_RUNNING"
# The guard, and what a distribution may put around it.
MAX_BETWEEN = 6
RELEASE_WORDS = ("dup", "dist-upgrade")
RPM_LINE = "%{NAME} %{ARCH} %{EVR}\\n"
# Each name is a word of a command line.
MAX_ASKED = 4000
ASK_S = 3.0
SKIP_DATA = ("snap-self=skip", "snap-self:skip")
_ACTIONS = {"+": CHANGE, "M": INSTALL, "-": REMOVE}


class ZypperConversation(Conversation):
    """One commit of libzypp, which goes on when its plugin ends."""

    ends_interrupted = False

    def __init__(
        self,
        stdin: BinaryIO,
        stdout: BinaryIO,
        stderr: TextIO,
        env: Mapping[str, str],
        outside: Outside,
    ) -> None:
        super().__init__(stdin, stdout, stderr, env, outside)
        self._frames = FrameReader(stdin)
        self._waits = 0
        self._unanswered = False
        self._caller = find_caller(env, outside)
        self.can_veto = is_zypper(self._caller, outside)
        self.silence_s = silence_limit(env)

    def transaction(self) -> Transaction | None:
        """Answer what comes before COMMITBEGIN, and return what that one announces."""
        skip = ""
        while frame := self._frames.next():
            skip = skip or told_to_skip(frame.headers.get("userdata", ""))
            if frame.command == COMMIT_BEGIN:
                self._unanswered = True
                return self._announced(frame, skip)
            if not self._answer(frame):
                return None
        return None

    def _announced(self, frame: Frame, skip: str) -> Transaction:
        if self.env.get(UPDATE_VARIABLE):
            skip = f"{UPDATE_VARIABLE} is set: the running system is not changed"
        arguments = self.outside.arguments(self._caller) if self._caller else ()
        program = base_name(self.outside.executable(self._caller)) if self._caller else ""
        return Transaction(
            MANAGER,
            parse_steps(frame.body),
            program=program,
            command=" ".join(arguments),
            skip=skip,
            release_upgrade=self.can_veto and any(each in RELEASE_WORDS for each in arguments[1:]),
        )

    def tell(self, line: str) -> None:
        """Write it where it is read: libzypp keeps a plugin's standard error for its own log."""
        super().tell(line)
        self.outside.tell_terminal(f"snap-self: {line}")
        self.outside.tell_system_log(line)

    def detail(self, transaction: Transaction) -> None:
        """Add the versions that are installed now, which libzypp does not tell."""
        names = sorted({each.name for each in transaction.packages if each.action == CHANGE})
        if not names or len(names) > MAX_ASKED:
            return
        argv = ("rpm", "-q", "--qf", RPM_LINE, "--", *names)
        # Its status only tells that some of them are not installed.
        answer = self.outside.ask(("sh", "-c", '"$@" 2>/dev/null; :', "sh", *argv), limit_s=ASK_S)
        if answer is None:
            return
        have, several = parse_installed(answer)
        # Of what rpm said nothing at all, nothing is known: its database may be locked or broken.
        known = {name for name, _ in have} | parse_absent(answer)
        told = (p for p in transaction.packages if p.action == CHANGE and p.name in known)
        for each in told:
            if (each.name, each.arch) not in several:
                tell_apart(each, have.get((each.name, each.arch)))

    def keep_alive(self) -> None:
        """Send a piece of the answer: libzypp's limit begins anew with every byte."""
        if self._unanswered:
            self._waits += 1
            first = ACK if self._waits == 1 else b""
            self._send(first + b"x-snap-self-wait:%d\n" % self._waits)

    def proceed(self) -> int:
        """Answer, and go on answering until libzypp ends the conversation."""
        self._finish_answer()
        while (frame := self._next_or_none()) is not None:
            if not self._answer(frame):
                break
        return PROCEED_STATUS

    def stop(self, reason: str) -> int:
        """Have zypper end once it has our answer; another program's commit goes on."""
        del reason
        if not self.can_veto or not self.outside.interrupt(self._caller):
            self.say("the change goes on all the same: only zypper itself can be stopped")
            return self.proceed()
        # libzypp sits in its wait for us, so the signal is taken before the answer is read; without
        # one it would wait out its limit, and only then look whether it was to end.
        self.proceed()
        return STOP_STATUS

    def _next_or_none(self) -> Frame | None:
        try:
            return self._frames.next()
        except ValueError:
            return None

    def _answer(self, frame: Frame) -> bool:
        """Answer a frame; tell whether there may be more."""
        if frame.command in KNOWN:
            return self._send(ACK + END_OF_ANSWER) and frame.command != DISCONNECT
        name = escape(frame.command).encode("utf-8", "surrogateescape")
        return self._send(b"_ENOMETHOD\nCommand:" + name + b"\n" + END_OF_ANSWER)

    def _finish_answer(self) -> None:
        if self._unanswered:
            self._unanswered = False
            self._send(END_OF_ANSWER if self._waits else ACK + END_OF_ANSWER)

    def _send(self, data: bytes) -> bool:
        try:
            self.stdout.write(data)
            self.stdout.flush()
        except (OSError, ValueError):  # libzypp has given us up
            return False
        return True


def find_caller(env: Mapping[str, str], outside: Outside) -> int:
    """Return the process that libzypp runs in; 0 where it is not above this one."""
    text = env.get(CALLER_VARIABLE, "")
    pid = outside.parent_pid()
    for _ in range(MAX_BETWEEN):
        if pid <= 1:
            return 0
        if str(pid) == text:
            return pid
        pid = outside.parent_of(pid)
    return 0


def is_zypper(pid: int, outside: Outside) -> bool:
    """Tell whether a process may be ended to stop its commit: not YaST, not packagekitd."""
    return bool(pid) and base_name(outside.executable(pid)) == "zypper"


def base_name(path: str) -> str:
    """Return a program's name; the kernel adds a word where its file was replaced."""
    return path.removesuffix(" (deleted)").rpartition("/")[2]


def silence_limit(env: Mapping[str, str]) -> float:
    """Return how long libzypp waits for a byte."""
    for name in SILENCE_VARIABLES:
        text = env.get(name, "")
        if text.isascii() and text.isdigit() and int(text) > 0:
            return float(text)
    return USUAL_SILENCE_S


def told_to_skip(userdata: str) -> str:
    """Return why no snapshot is wanted, from what ``zypper --userdata`` was given."""
    words = userdata.replace(";", ",").replace(" ", ",").lower().split(",")
    return "zypper --userdata snap-self=skip" if any(word in words for word in SKIP_DATA) else ""


def parse_steps(body: bytes) -> list[Package]:
    """Return each package of COMMITBEGIN's body once.

    Raises:
        ValueError: it is not what libzypp sends; says where.
    """
    try:
        value = parse_json(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{COMMIT_BEGIN}: not JSON: {error}") from None
    steps = value.get("TransactionStepList") if isinstance(value, dict) else None
    if not isinstance(steps, list):
        raise _unreadable("TransactionStepList is not a list")
    found = (_parse_step(step, f"TransactionStepList[{i}]") for i, step in enumerate(steps))
    return join_replaced(package for package in found if package is not None)


def parse_installed(
    text: str,
) -> tuple[dict[tuple[str, str | None], str], set[tuple[str, str | None]]]:
    """Return version by name and architecture, and what is installed more than once.

    Args:
        text: lines of ``RPM_LINE``, between them what rpm says of those that are not installed.
    """
    found: dict[tuple[str, str | None], str] = {}
    several: set[tuple[str, str | None]] = set()
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) == 3:
            key = (words[0], words[1])
            if key in found:
                several.add(key)
            found[key] = words[2].removeprefix("(none):")
    return found, several


def parse_absent(text: str) -> set[str]:
    """Return the names that rpm says are not installed, in the C locale."""
    begin, end = "package ", " is not installed"
    lines = (line for line in text.split("\n") if line.startswith(begin) and line.endswith(end))
    return {line[len(begin) : -len(end)] for line in lines}


def tell_apart(package: Package, installed: str | None) -> None:
    """Put into words what ``+`` means, from the version that is installed."""
    from snap_self.changes.evr import compare_evr

    if installed is None:
        package.action = INSTALL
        return
    package.old = package.old or installed
    if package.new is not None:
        order = compare_evr(package.old, package.new)
        package.action = (DOWNGRADE, REINSTALL, UPGRADE)[1 - order]


def join_replaced(packages: Iterable[Package]) -> list[Package]:
    """Return the packages with the removal of what is replaced joined to what replaces it."""
    kept: dict[tuple[str, str | None], Package] = {}
    for package in packages:
        key = (package.name, package.arch)
        before = kept.get(key)
        if before is None:
            kept[key] = package
        elif REMOVE in (before.action, package.action) and before.action != package.action:
            removed, other = sorted((before, package), key=lambda each: each.action != REMOVE)
            if other.action == CHANGE:
                other.old = removed.old
                kept[key] = other
            else:  # a kernel beside another that goes: both are told
                kept[(package.name, f"{package.arch} {package.old or package.new}")] = package
        else:
            kept[(package.name, f"{package.arch} {package.old or package.new}")] = package
    return list(kept.values())


def _parse_step(step: object, where: str) -> Package | None:
    if not isinstance(step, dict):
        raise _unreadable(f"{where} is not an object")
    action = _ACTIONS.get(str(step.get("type", "")))
    if action is None:  # in the list, but nothing is done with it
        return None
    solvable = step.get("solvable")
    if not isinstance(solvable, dict) or not isinstance(solvable.get("n"), str):
        raise _unreadable(f"{where}.solvable.n is not a name")
    name: str = solvable["n"]
    if ":" in name:  # patch:, product:, pattern: are no packages
        return None
    version = _version(solvable)
    arch = solvable.get("a")
    return Package(
        name,
        action,
        arch=arch if isinstance(arch, str) else None,
        old=version if action == REMOVE else None,
        new=None if action == REMOVE else version,
    )


def _unreadable(what: str) -> ValueError:
    return ValueError(f"{COMMIT_BEGIN}: {what}")


def _version(solvable: Mapping[str, object]) -> str | None:
    version, release, epoch = solvable.get("v"), solvable.get("r"), solvable.get("e")
    if not isinstance(version, str) or not version:
        return None
    text = f"{version}-{release}" if release else version
    return f"{epoch}:{text}" if epoch else text
