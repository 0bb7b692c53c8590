"""The folder that `ganlab fit` writes into: a new one, or that of the run that is resumed."""

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

# Environment variable by which processes that are started later on this machine learn the folder.
FOLDER_VARIABLE = "GANLAB_RUN_FOLDER"


@dataclass
class RunFolder:
    """
    Attributes:
        code_folders: Where a user's own modules are looked for.
        path: None until `open` is called.
        is_new: Whether it was created by this process.
        resumed: The run that is resumed, and from which checkpoint.
        rollback_checkpoint: The checkpoint of another run from which this one starts.
        first_step: The step at which training starts.
    """

    code_folders: list[Path] = field(default_factory=list)
    path: Path | None = None
    is_new: bool = False
    resumed: resume.Resumed | None = None
    rollback_checkpoint: Path | None = None
    first_step: int = 0

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint from which training starts; None: new weights."""
        # A rollback that was killed before it had saved begins once more where it began.
        return (self.resumed and self.resumed.checkpoint) or self.rollback_checkpoint

    def resume(self, target: str, planned_path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Choose the run to resume; return the settings that it was started with, or None if there is no run.

        Args:
            target: A run's folder or checkpoint, or `auto`.
            planned_path: Where a new run would have its folder.
        """
        if target != AUTO:
            self.resumed = resume.run_to_resume(target)
        elif not (newest := resume.newest_run_like(planned_path, settings)):
            if is_first_process():
                print("No run with these settings has a whole checkpoint: this one begins anew.")
            return None
        else:
            self.resumed = newest
        began_with = yaml.safe_load((self.resumed.folder / "config.yaml").read_text())
        resume.refuse_differences(self.resumed, began_with, settings)
        return began_with

    def open(self, planned_path: Path, target: str | None, config: str) -> Path:
        """Create or claim the folder for this process, and write the configuration and the environment.

        Args:
            target: How the run to resume was named.
            config: The YAML text that repeats the run.
        """
        if self.resumed:
            self.path = self.resumed.folder
        elif is_first_process():
            self.path, self.is_new = create_folder(planned_path), True
        else:
            self.path = Path(os.environ.get(FOLDER_VARIABLE, planned_path.parents[2]))
        if is_first_process():
            self._claim(self.path, target)
            write_config(self.path, config)
            write_environment(self.path)
            os.environ[FOLDER_VARIABLE] = str(self.path)
        return self.path

    def _claim(self, folder: Path, target: str | None) -> None:
        """Lock the folder, and remove what was recorded after the step at which training starts."""
        waited = claim_folder(folder)
        if self.resumed:
            if waited and not str(target).endswith(".ckpt"):
                # The process that held the lock may have saved a newer checkpoint.
                self.resumed = resume.run_to_resume(str(folder))
            checkpoint = self.resumed.checkpoint
            self.first_step = step_of(checkpoint) if checkpoint else 0
            rewind_records(folder, self.first_step)
        if self.rollback_checkpoint:
            self.first_step = rollback.copy_records(self.rollback_checkpoint, folder)

    def keep_code(self) -> None:
        """Copy the user's own modules into the folder, unless that was done when the run was started."""
        if self.path and is_first_process() and not (self.path / user_code.FOLDER).exists():
            user_code.copy_modules(self.code_folders, self.path)

    def discard_if_untrained(self) -> None:
        """Remove a folder that was created for a run which then trained nothing."""
        if self.path and self.is_new and not (self.path / "checkpoints").exists():
            discard_folder(self.path)
