"""The table of the operations that the agent calls, against the SDK."""

from __future__ import annotations

from importlib import import_module

import pytest

from snap_self.model.actions import ACTIONS, CREATES, Action

IN_SDK = [action for action in ACTIONS.values() if action.sdk_module]


def test_operations_of_oos_alone_have_no_package() -> None:
    assert {a.product for a in ACTIONS.values() if a not in IN_SDK} == {"oos"}


@pytest.mark.parametrize("action", IN_SDK, ids=lambda action: action.name)
def test_action_has_its_request_in_the_sdk(action: Action) -> None:
    assert hasattr(import_module(action.sdk_module), f"{action.name}Request")


def test_creates_are_the_calls_that_take_a_client_token() -> None:
    taking = {
        action.name
        for action in IN_SDK
        if hasattr(
            getattr(import_module(action.sdk_module), f"{action.name}Request"), "set_ClientToken"
        )
    }
    assert taking == CREATES - {"StartExecution"}


def test_action_that_cannot_be_limited_names_anything() -> None:
    assert ACTIONS["DescribeDisks"].arns() == ("*",)


def test_action_names_its_resources_in_full() -> None:
    assert ACTIONS["CreateSnapshot"].arns() == (
        "acs:ecs:REGION:ACCOUNT:disk/DISK_ID",
        "acs:ecs:REGION:ACCOUNT:snapshot/*",
    )
