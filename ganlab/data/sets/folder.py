from __future__ import annotations

from ganlab.data.pictures.archive import Archive, is_picture
from ganlab.data.pictures.file_sets import ListedFile, labelled_by_folders
from ganlab.data.pictures.picture_files import PictureFiles


class ImageFolder(PictureFiles):
    """Any folder or zip of pictures: flat, or with a folder for each class.

    Folders above these that are named train and test (or val, validation, held_out) are splits, not classes;
    trainA is train/A.
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

    def find_files(self, archive: Archive) -> list[ListedFile]:
        names = [name for name in archive.names if is_picture(name)]
        self._class_names, files = labelled_by_folders(names, archive.path, self.what)
        return files
