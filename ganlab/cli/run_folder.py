"""The folder that `ganlab fit` writes into: a new one, or that of the run that is resumed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlab.cli.arguments import AUTO
from ganlab.runs import resume, rollback
from ganlab.runs.folder import (
    Claim,
    clean,
    create_folder,
    discard_folder,
    erase_records,
    missing_parents,
    rewind_records,
    write_config,
    write_environment,
)
from ganlab.runs.load import step_of
from ganlab.runs.resume import Resumed
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
        restart: Whether a run is begun anew in its folder, without what it has recorded.
        config: The YAML text that repeats the run.
        first_step: The step at which training starts.
        has_begun: Whether the folder holds this start's records now.
    """

    code_folders: list[Path] = field(default_factory=list)
    path: Path | None = None
    is_new: bool = False
    resumed: Resumed | None = None
    rollback_checkpoint: Path | None = None
    restart: bool = False
    config: str = ""
    first_step: int = 0
    has_begun: bool = False
    _claim: Claim | None = None
    _parents: list[Path] = field(default_factory=list)

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint from which training starts; None: new weights."""
        # A rollback that was killed before it had saved begins once more where it began.
        return (self.resumed and self.resumed.checkpoint) or self.rollback_checkpoint

    def resume(
        self, target: str, planned_path: Path, settings: dict[str, Any], *, trust_code: bool
    ) -> dict[str, Any] | None:
        """Choose the run to resume; return the settings that it was started with, or None if there is no run.

        Args:
            target: A run's folder or checkpoint, or `auto`.
            planned_path: Where a new run would have its folder.
        """
        if target != AUTO:
            self.resumed = self._run_to_resume(target)
        elif not (newest := resume.newest_run_like(planned_path, settings, trust_code=trust_code)):
            if is_first_process():
                print("No run with these settings has a whole checkpoint: this one begins anew.")
            return None
        else:
            self.resumed = newest
        resume.refuse_differences(self.resumed, settings)
        return resume.config_of(self.resumed.folder)

    def _run_to_resume(self, target: str) -> Resumed:
        if self.restart:
            return Resumed(resume.folder_of(target), None)
        resumed = resume.run_to_resume(target)
        if not resumed.checkpoint:
            resume.refuse_to_begin_anew(resumed.folder)
        return resumed

    def open(self, planned_path: Path, target: str | None, config: str) -> Path:
        """Create or claim the folder for this process. That of a resumed run is not changed before `begin`.

        Args:
            target: How the run to resume was named.
            config: The YAML text that repeats the run.
        """
        self.config = config
        if self.resumed:
            self.path = self.resumed.folder
        elif is_first_process():
            self._parents = missing_parents(planned_path)
            self.path, self.is_new = create_folder(planned_path), True
        else:
            self.path = Path(os.environ.get(FOLDER_VARIABLE, planned_path.parents[2]))
        if is_first_process():
            self._claim = Claim(self.path)
            if self.resumed and self._claim.waited and not str(target).endswith(".ckpt"):
                # The process that held the lock may have saved a newer checkpoint.
                self.resumed = self._run_to_resume(str(self.path))
            if self.is_new:
                write_config(self.path, config)
            self.first_step = step_of(self.checkpoint) if self.checkpoint else 0
            os.environ[FOLDER_VARIABLE] = str(self.path)
        return self.path

    def begin(self) -> None:
        """Remove what was recorded after the step at which training starts, and record this start."""
        assert self.path
        self.has_begun = True
        clean(self.path)
        if self.restart:
            erase_records(self.path)
        if self.rollback_checkpoint:
            rollback.copy_records(self.rollback_checkpoint, self.path)
        else:
            rewind_records(self.path, self.first_step)
        write_environment(self.path)
        write_config(self.path, self.config, self.code_folders)

    def close(self, *, refused: bool) -> None:
        """Let others have the folder. A start that was refused leaves a run as it was, and no new one."""
        os.environ.pop(FOLDER_VARIABLE, None)
        if self._claim:
            self._claim.release(unused=not self.has_begun)
        saved_nothing = self.path and not (self.path / "checkpoints").exists()
        if self.path and self.is_new and saved_nothing and (refused or not self.has_begun):
            discard_folder(self.path, self._parents)
