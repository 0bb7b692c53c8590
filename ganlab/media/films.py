"""Moving pictures in files: GIF, which Pillow reads, and MP4, for which PyAV is needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import GifImagePlugin, Image, ImageSequence

from ganlab.errors import Refused, refuse_missing

COLOURS = 256  # in a GIF
SAMPLE = 8  # frames that a film of more colours than these takes its own from
SHOWN = 100  # milliseconds, where a film does not say how long a frame is shown
CRF = "10"  # x264's constant rate factor, from 0, lossless, to 51; its default, 23, blurs noise
WIDEST = 16_384  # pixels of a side, at most, for x264
BT709, LIMITED = 1, 1  # H.264's numbers of a colour space and a range; without them players guess
REPEAT = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"  # for ever


def gif_frames(content: bytes) -> Iterator[tuple[Image.Image, int]]:
    """The frames of a GIF in RGB, each with the milliseconds that it is shown; damage raises anything."""
    with warnings.catch_warnings(), Image.open(BytesIO(content), formats=("GIF",)) as film:
        warnings.simplefilter("ignore")
        for frame in ImageSequence.Iterator(film):
            yield frame.convert("RGB"), int(frame.info.get("duration") or SHOWN)


def lengths(milliseconds: Sequence[int]) -> list[int]:
    """How often the shortest of these times goes into each, by which frames become equally long again.

    Programs that write GIFs join equal frames to one that is shown as long as all of them.
    """
    shortest = min(milliseconds)
    return [round(each / shortest) for each in milliseconds]


def gif(frames: Sequence[Image.Image], milliseconds: int | Sequence[int]) -> bytes:
    """A GIF that repeats for ever; its times are rounded down to hundredths of a second.

    What is grey, or has 256 colours or fewer in all its frames, is read back to the last bit. Else all frames
    share 256 colours, without dithering, so that still areas do not flicker.
    """
    times = [milliseconds] * len(frames) if isinstance(milliseconds, int) else milliseconds
    palette, indices = _indexed([np.asarray(frame.convert("RGB")) for frame in frames])
    width, height = frames[0].size
    # A palette of 256 colours follows.
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    parts = [b"GIF89a", size, b"\xf7\x00\x00", palette.tobytes(), REPEAT]
    for index, shown in zip(indices, times, strict=True):
        # Pillow itself would write frames that are equal as one, which is shown longer.
        parts += GifImagePlugin.getdata(Image.fromarray(index), duration=max(10, shown))
    return b"".join([*parts, b";"])


def _indexed(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The 256 colours of all frames, and in each frame the number of each pixel's colour."""
    if all((frame == frame[..., :1]).all() for frame in frames):
        greys = np.arange(COLOURS, dtype=np.uint8)[:, None].repeat(3, 1)
        return greys, [np.ascontiguousarray(frame[..., 0]) for frame in frames]
    numbers = [frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) for frame in frames]
    known = np.unique(np.concatenate([np.unique(each) for each in numbers]))
    if len(known) <= COLOURS:
        own = np.stack([known >> 16, known >> 8 & 255, known & 255], 1).astype(np.uint8)
        palette = np.pad(own, ((0, COLOURS - len(own)), (0, 0)))
        return palette, [np.searchsorted(known, each).astype(np.uint8) for each in numbers]
    some = frames[:: max(1, len(frames) // SAMPLE)]
    few = Image.fromarray(np.concatenate(some)).quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    near = [Image.fromarray(frame).quantize(palette=few, dither=Image.Dither.NONE) for frame in frames]
    own = np.array(few.getpalette() or [], np.uint8).reshape(-1, 3)[:COLOURS]
    return np.pad(own, ((0, COLOURS - len(own)), (0, 0))), [np.asarray(each) for each in near]


def mp4_frames(content: bytes, what: str) -> Iterator[tuple[Image.Image, int]]:
    """The same of a video that PyAV knows, where all frames count as equally long.

    Args:
        what: Needs PyAV, for the message where that is missing.
    """
    refuse_missing(what, "video", "av")
    import av

    with av.open(BytesIO(content), "r") as file:
        for frame in file.decode(video=0):
            yield frame.to_image(), SHOWN


def write_mp4(path: Path, frames: Iterable[Image.Image], rate: Fraction) -> None:
    """H.264, which browsers play; it stores colours at half the resolution."""
    import av

    stream: Any = None
    layout = {"movflags": "+faststart"}  # so that a player can begin before it has the whole file
    with av.open(str(path), "w", format="mp4", options=layout) as file:
        for image in frames:
            to_even = ((0, image.height % 2), (0, image.width % 2), (0, 0))
            pixels = np.pad(np.asarray(image.convert("RGB")), to_even, "edge")
            if max(pixels.shape) > WIDEST:
                raise Refused(
                    f"{image.width:,} × {image.height:,} pixels are too many for a video: fewer --count."
                )
            if stream is None:
                stream = file.add_stream("libx264", rate, options={"crf": CRF})
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
                codec = stream.codec_context
                codec.colorspace = codec.color_primaries = codec.color_trc = BT709
                codec.color_range = LIMITED
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        file.mux(stream.encode())
