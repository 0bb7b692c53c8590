from __future__ import annotations

from ganlab.data.pictures.archive import Archive, is_picture
from ganlab.data.pictures.picture_files import HELD_OUT, PictureFile, PictureFiles, common_folder, is_held_out
from ganlab.errors import Refused
from ganlab.system.untrusted import readable

TRAIN = frozenset({"train", "training", "training_set"})


class ImageFolder(PictureFiles):
    """Any folder or zip of pictures: flat, or with a folder for each class.

    Folders above these that are named train and test (or val, validation, held_out) are splits, not classes.
    """

    layout = "It takes any folder or zip of pictures (jpg, png, webp, tif, ...), flat or one folder a class."
    origin = "Put your pictures there"

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        labels = [picture.label for picture in self.source[1]]
        return None if None in labels else len(set(labels))

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Their folders."""
        return tuple(self._class_names) if self.classes else None

    def find_pictures(self, archive: Archive) -> list[PictureFile]:
        names = [name for name in archive.names if is_picture(name)]
        folders = [name.removeprefix(common_folder(names)).split("/")[:-1] for name in names]
        if all(path and path[0].lower() in TRAIN | HELD_OUT for path in folders):
            folders = [path[1:] for path in folders]
        flat = sum(not path for path in folders)
        if 0 < flat < len(names):
            raise Refused(
                f"{readable(archive.path)}: {flat:,} of {len(names):,} pictures lie beside folders of\n"
                "others. Give each class a folder, or put all pictures into one."
            )
        self._class_names = classes = sorted({path[0] for path in folders if path})
        labels = [classes.index(path[0]) if path else None for path in folders]
        return [
            PictureFile(name, label, is_held_out(name)) for name, label in zip(names, labels, strict=True)
        ]
