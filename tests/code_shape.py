"""Measure Python sources: sizes, types, documentation, imports. Pure but for reading the files.

A code line carries a token and lies outside docstrings; blank and comment-only lines do not count.
A function's length is its code lines from ``def`` to its last line, decorators left out.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

NOISE = frozenset(
    (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    )
)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Definition = FunctionNode | ast.ClassDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function; its length in code lines."""

    where: str
    length: int
    params: int
    positional_flags: tuple[str, ...]
    typed: bool


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    name: str
    path: Path
    source: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.source, filename=str(self.path))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Return all nodes of the tree; to find them costs more than to look at them."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def definitions(self) -> tuple[tuple[Definition, tuple[Definition, ...]], ...]:
        """Return every class and function with the definitions around it."""
        return tuple(definitions(self.tree))

    @property
    def has_code(self) -> bool:
        """Tell whether there is more than a docstring."""
        return len(self.tree.body) > (ast.get_docstring(self.tree) is not None)

    @property
    def is_package(self) -> bool:
        """Tell whether this is a package's ``__init__``."""
        return self.path.stem == "__init__"

    @cached_property
    def code_lines(self) -> frozenset[int]:
        """Return the numbers of the lines that carry code."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
            if token.type not in NOISE:
                lines.update(range(token.start[0], token.end[0] + 1))
        return frozenset(lines - set(self._docstring_lines()))

    def _docstring_lines(self) -> Iterator[int]:
        for node in (self.tree, *(node for node, _ in self.definitions)):
            if ast.get_docstring(node) is not None:
                yield from lines_of(node.body[0])

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Return every function, nested ones too; ``@overload`` stubs are left out."""
        return tuple(
            self._measure(node, outer)
            for node, outer in self.definitions
            if isinstance(node, FunctionNode) and not decorated(node, "overload")
        )

    def _measure(self, node: FunctionNode, outer: tuple[Definition, ...]) -> Function:
        in_class = bool(outer) and isinstance(outer[-1], ast.ClassDef)
        positional = [*node.args.posonlyargs, *node.args.args]
        if in_class and not decorated(node, "staticmethod"):
            positional = positional[1:]
        stars = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
        params = [*positional, *node.args.kwonlyargs, *stars]
        returns = node.returns is not None or node.name == "__init__"
        return Function(
            where=f"{self.path}:{node.lineno} {node.name}",
            length=sum(line in self.code_lines for line in lines_of(node)),
            params=len(params),
            positional_flags=tuple(arg.arg for arg in positional if is_flag(arg)),
            typed=returns and all(arg.annotation for arg in params),
        )

    @property
    def undocumented(self) -> Iterator[str]:
        """Yield public classes and module functions without a docstring, and the module itself.

        A method needs one only where its name and types do not say what it does.
        """
        if self.source.strip() and ast.get_docstring(self.tree) is None:
            yield f"{self.path}:1"
        for node, outer in self.definitions:
            is_method = isinstance(node, FunctionNode) and bool(outer)
            names = [node.name, *(each.name for each in outer)]
            public = not any(name.startswith("_") for name in names)
            in_function = any(isinstance(each, FunctionNode) for each in outer)
            stub = isinstance(node, FunctionNode) and decorated(node, "overload")
            owed = public and not is_method and not in_function and not stub
            if owed and ast.get_docstring(node) is None:
                yield f"{self.path}:{node.lineno} {node.name}"

    @property
    def broad_excepts(self) -> Iterator[str]:
        """Yield handlers that catch almost everything."""
        for node in self.nodes:
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(k is None or dotted(k) in {"Exception", "BaseException"} for k in kinds):
                    yield f"{self.path}:{node.lineno}"

    def calls(self, *names: str) -> Iterator[str]:
        """Yield where one of the dotted ``names`` is called."""
        for node in self.nodes:
            if isinstance(node, ast.Call) and dotted(node.func) in names:
                yield f"{self.path}:{node.lineno} {dotted(node.func)}"

    def imports(self, *, load_time: bool) -> frozenset[str]:
        """Return the absolute dotted names imported: when loaded only, or at any depth."""
        return self._imports_on_load if load_time else self._imports

    @cached_property
    def _imports_on_load(self) -> frozenset[str]:
        nodes = load_time_nodes(self.tree.body)
        return frozenset(name for node in nodes for name in self._imported(node))

    @cached_property
    def _imports(self) -> frozenset[str]:
        return frozenset(name for node in self.nodes for name in self._imported(node))

    def _imported(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self._base(node)
            yield from (f"{base}.{alias.name}" for alias in node.names)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - (node.level - self.is_package)]
        return ".".join([*kept, node.module] if node.module else kept)


def read_package(folder: Path) -> tuple[Module, ...]:
    """Return every module of the package in ``folder``."""
    return tuple(
        Module(
            name=module_name(path, folder.parent),
            path=path,
            source=path.read_text(encoding="utf-8"),
        )
        for path in sorted(folder.rglob("*.py"))
    )


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a file below ``root``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def definitions(
    parent: ast.AST, outer: tuple[Definition, ...] = ()
) -> Iterator[tuple[Definition, tuple[Definition, ...]]]:
    """Yield every class and function with the definitions around it."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            yield node, outer
            yield from definitions(node, (*outer, node))
        elif not isinstance(node, ast.expr):  # in which there is none
            yield from definitions(node, outer)


def lines_of(node: ast.stmt) -> range:
    """Return the numbers of the lines a statement takes."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def dotted(node: ast.AST | None) -> str:
    """Return ``a.b.c`` for a name, an attribute, or a call of one; else an empty string."""
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def decorated(node: Definition, name: str) -> bool:
    """Tell whether a definition has a decorator of that name."""
    return any(dotted(each).rpartition(".")[2] == name for each in node.decorator_list)


def is_flag(arg: ast.arg) -> bool:
    """Tell whether a parameter is annotated as a plain truth value."""
    return isinstance(arg.annotation, ast.Name) and arg.annotation.id == "bool"


def load_time_nodes(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is loaded; not those for type checkers."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from load_time_nodes(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for block in ("body", "orelse", "finalbody"):
                yield from load_time_nodes(getattr(node, block, []))


def import_graph(modules: Sequence[Module]) -> dict[str, frozenset[str]]:
    """Return which module imports which of the others when it is loaded."""
    known = frozenset(module.name for module in modules)
    return {
        module.name: frozenset(
            found
            for name in module.imports(load_time=True)
            if (found := known_module(name, known)) and found != module.name
        )
        for module in modules
    }


def known_module(name: str, known: frozenset[str]) -> str:
    """Return the known module that an imported name lies in; empty where there is none."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def rings(graph: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], ...]:
    """Return every group of modules that import each other in a ring."""
    reach = {node: reachable(graph, node) for node in graph}
    groups = {frozenset(other for other in reach[node] if node in reach[other]) for node in graph}
    return tuple(sorted((group for group in groups if len(group) > 1), key=sorted))


def reachable(graph: Mapping[str, frozenset[str]], start: str) -> frozenset[str]:
    """Return every node that can be reached from ``start`` in one step or more."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return frozenset(found)


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile; 0 where there are no values."""
    if not values:
        return 0
    rank = -(-len(values) * percent // 100)
    return sorted(values)[max(rank, 1) - 1]
