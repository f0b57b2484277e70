"""The parser, told what to say of words that are no command and of words that are too many.

The parser's own types stand for any: they are typer's or click's, as typer is old or new. What is
said is in ``misspelt``, which is loaded when there is something to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Made = TypeVar("Made", bound=Callable[..., Any])

SETTINGS: Mapping[str, Any] = {
    "name": "snap-self",
    "add_completion": False,
    "no_args_is_help": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Leaf(TyperCommand):
    """A command without commands below it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, and refuse the words that nothing of the command takes.

        Raises:
            UsageError: there are some, or it cannot be told where the user's own command begins.
        """
        given = tuple(args)
        ctx.allow_extra_args = True  # the parser's own complaint says no more than "unexpected"
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            from snap_self.cli.misspelt import too_many

            raise too_many(ctx, typed_in(ctx))
        if not ctx.allow_interspersed_args and self._begins_early(ctx, given):
            from snap_self.cli.misspelt import refuse_words_before_hyphens

            refuse_words_before_hyphens(ctx, typed_in(ctx))
        return []

    def _begins_early(self, ctx: Any, given: tuple[str, ...]) -> bool:
        """Tell whether the words that were taken for the user's command begin before ``--``."""
        taken = [ctx.params.get(each.name) for each in self.params if each.nargs == -1]
        count = sum(len(words) for words in taken if words)
        return "--" in given and given.index("--") >= len(given) - count > 0


class Commands(TyperGroup):
    """A command with commands below it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, and the words after it.

        Raises:
            UsageError: it names none.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            self._refuse(ctx, args)
        return super().resolve_command(ctx, args)

    def whole(self) -> Any:
        """Return the table of all commands, of which a line's own parser may have one alone."""
        return self

    def _refuse(self, ctx: Any, args: list[str]) -> NoReturn:
        from snap_self.cli.misspelt import no_command

        known = [name for name, each in self.commands.items() if not each.hidden]
        raise no_command(ctx, typed_in(ctx), tuple(args), tuple(known))


class App(typer.Typer):
    """The collection of commands, each of which is a ``Leaf``."""

    def __init__(self, *, cls: type[Commands] = Commands, **settings: Any) -> None:
        super().__init__(cls=cls, **settings)

    def command(self, *names: Any, **settings: Any) -> Callable[[Made], Made]:
        """Return what makes a function a command."""
        return super().command(*names, **{"cls": Leaf, **settings})


def typed_in(context: Any) -> tuple[str, ...]:
    """Return the whole command line after the program's name."""
    typed: tuple[str, ...] = context.obj or ()
    return typed
