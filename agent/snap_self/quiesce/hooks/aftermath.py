"""What the keeper did after the agent was killed; the next command reports it."""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.ports import FactStore

FACTS = "interrupted-hooks"
_RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedHooks:
    """Post parts that were run without the agent.

    Args:
        hooks: name and what went wrong (empty: nothing), in the order they were run.
    """

    run_id: str
    hooks: tuple[tuple[str, str], ...]

    def sentence(self) -> str:
        told = [f"{name}: {why}" if why else name for name, why in self.hooks]
        return (
            f"run {self.run_id} was killed while hooks held applications at rest; "
            f"they were released afterwards: {', '.join(told)}"
        )


def interrupted_hooks(facts: FactStore) -> InterruptedHooks | None:
    """Return what a keeper did alone since the last call, and forget it.

    Raises:
        StateUnusable: it could not be forgotten.
    """
    known = facts.recall(FACTS)
    if _RUN not in known:
        return None
    facts.remember(FACTS, {})
    hooks = tuple((name, why) for name, why in known.items() if name != _RUN)
    return InterruptedHooks(run_id=known[_RUN], hooks=hooks)
