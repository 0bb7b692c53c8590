from __future__ import annotations

import re

from torchvision.datasets.utils import download_url

from ganlab.data.pictures.archive import Archive, is_picture
from ganlab.data.pictures.file_sets import ListedFile, is_held_out
from ganlab.data.pictures.picture_files import PictureFiles

# The kind is in the file's name (cat.0.jpg) or in its folder's (Cat/0.jpg, cats/0.jpg).
PET = re.compile(r"(?:^|/)(?:(cat|dog)\.\d+\.\w+|(cat|dog)s?/[^/]+)$", re.IGNORECASE)
PETS = ("cat", "dog")
MICROSOFT = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip"
)


class CatsVsDogs(PictureFiles):
    """25,000 pictures of cats and dogs (Elson et al. 2007), as Kaggle or Microsoft hand them out."""

    classes = 2
    usual_names = ("*cats*dogs*", "dogs*cats*", "petimages", "petimages.zip", "train.zip")
    layout = "It takes train/cat.0.jpg (Kaggle), PetImages/Cat/0.jpg (Microsoft), {train,test}/{cats,dogs}/."
    origin = "From https://www.kaggle.com/c/dogs-vs-cats/data"

    def fetch(self) -> None:
        download_url(MICROSOFT, str(self.root))

    def find_files(self, archive: Archive) -> list[ListedFile]:
        matches = ((name, PET.search(name)) for name in archive.names if is_picture(name))
        return [
            ListedFile(name, PETS.index((match[1] or match[2]).lower()), is_held_out(name))
            for name, match in matches
            if match
        ]
