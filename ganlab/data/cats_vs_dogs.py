from __future__ import annotations

import re

from ganlab.data.archive import Archive, is_picture
from ganlab.data.files import Found, PictureFiles, is_held_out

# By its own name (cat.0.jpg) or by its folder's (Cat/0.jpg, cats/0.jpg).
PET = re.compile(r"(?:^|/)(?:(cat|dog)\.\d+\.\w+|(cat|dog)s?/[^/]+)$", re.IGNORECASE)
PETS = ("cat", "dog")


class CatsVsDogs(PictureFiles):
    """25,000 pictures of cats and dogs (Elson et al. 2007), as Kaggle or Microsoft hand them out."""

    classes = 2
    places = ("*cats*dogs*", "dogs*cats*", "petimages", "petimages.zip", "train.zip")
    wanted = "It takes train/cat.0.jpg (Kaggle), PetImages/Cat/0.jpg (Microsoft), {train,test}/{cats,dogs}/."
    origin = "From https://www.kaggle.com/c/dogs-vs-cats/data"

    def found(self, archive: Archive) -> list[Found]:
        matches = ((name, PET.search(name)) for name in archive.names if is_picture(name))
        return [
            Found(name, PETS.index((match[1] or match[2]).lower()), is_held_out(name))
            for name, match in matches
            if match
        ]
