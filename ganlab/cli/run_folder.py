"""The folder that `ganlab fit` writes into: a new one, or that of a run which goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ganlab.cli.arguments import AUTO
from ganlab.runs import resume, rollback, user_code
from ganlab.runs.folder import (
    claim_folder,
    create_folder,
    discard_folder,
    rewind_records,
    write_config,
    write_environment,
)
from ganlab.runs.load import step_of
from ganlab.system.processes import is_first_process

# The other processes of this machine are started later and inherit the folder's path by this name.
INHERITED = "GANLAB_RUN_FOLDER"


@dataclass
class RunFolder:
    """
    Attributes:
        code_folders: Where a user's own modules were looked for.
        path: None until it is opened.
        is_new: Whether it was made for this run just now.
        resumed: The run that goes on, and from which checkpoint.
        rollback_checkpoint: Where another run was best, and this one begins.
        first_step: The step that is begun with.
    """

    code_folders: list[Path] = field(default_factory=list)
    path: Path | None = None
    is_new: bool = False
    resumed: resume.Resumed | None = None
    rollback_checkpoint: Path | None = None
    first_step: int = 0

    @property
    def checkpoint(self) -> Path | None:
        """What is begun with, instead of new weights."""
        return self.resumed.checkpoint if self.resumed else self.rollback_checkpoint

    def resume(self, target: str, planned_path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Choose the run that goes on; returns the settings that it began with, or none if there is no run.

        Args:
            target: A run's folder or checkpoint, or `auto`.
            planned_path: Where a new run would have its folder.
        """
        if target != AUTO:
            self.resumed = resume.named(target)
        elif not (automatic := resume.automatic(planned_path, settings)):
            if is_first_process():
                print("No run with these settings has a whole checkpoint: this one begins anew.")
            return None
        else:
            self.resumed = automatic
        began_with = yaml.safe_load((self.resumed.folder / "config.yaml").read_text())
        resume.refuse_differences(self.resumed, began_with, settings)
        return began_with

    def open(self, planned_path: Path, target: str | None, config: str) -> Path:
        """Make or take the folder, for this process alone, and write down how the run begins.

        Args:
            target: Of a run that goes on, how it was named.
            config: What repeats the run.
        """
        if self.resumed:
            self.path = self.resumed.folder
        elif is_first_process():
            self.path, self.is_new = create_folder(planned_path), True
        else:
            self.path = Path(os.environ.get(INHERITED, planned_path.parents[2]))
        if is_first_process():
            self._take(self.path, target)
            write_config(self.path, config)
            write_environment(self.path)
            os.environ[INHERITED] = str(self.path)
        return self.path

    def _take(self, folder: Path, target: str | None) -> None:
        """Claim it, and forget what was recorded after the step that is begun with."""
        waited = claim_folder(folder)
        if self.resumed:
            if waited and not str(target).endswith(".ckpt"):
                # Whoever had the run before has written since.
                self.resumed = resume.named(str(folder))
            checkpoint = self.resumed.checkpoint
            self.first_step = step_of(checkpoint) if checkpoint else 0
            rewind_records(folder, self.first_step)
        if self.rollback_checkpoint:
            self.first_step = rollback.carry(self.rollback_checkpoint, folder)

    def keep_code(self) -> None:
        """Copy the user's own modules beside the run, unless that was done when it began."""
        if self.path and is_first_process() and not (self.path / user_code.KEPT).exists():
            user_code.keep(self.code_folders, self.path)

    def discard_if_untrained(self) -> None:
        """A folder that was opened for a run which trained nothing would only be in the way."""
        if self.path and self.is_new and not (self.path / "checkpoints").exists():
            discard_folder(self.path)
