"""What can be wrong with a model's folder, or with a name on the hub."""

from __future__ import annotations


class FolderError(ValueError):
    """A model's folder is missing, incomplete or damaged; the message names the file."""


class HubError(OSError):
    """A model of the hub cannot be had; the message says what to do."""
