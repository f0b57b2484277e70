"""Snapshot an Alibaba Cloud ECS instance's own disks before a risky change."""

__version__ = "0.1.0"
