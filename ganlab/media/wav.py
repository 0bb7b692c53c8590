"""WAV files of any rate, depth and number of channels, as numbers."""

from __future__ import annotations

import wave
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

HIGHEST_RATE = 1_000_000  # samples a second
UNKNOWN = 2**32 - 1  # the length that a file has which was written to a pipe
LONGEST = 1 << 27  # samples of a file: 46 minutes at 48 kHz


def read_wav(content: bytes) -> tuple[int, np.ndarray]:
    """The rate, and the samples in [-1, 1], of a file's channels their mean; ValueError if it is broken."""
    if not content:
        raise ValueError("empty")
    promised = int.from_bytes(content[4:8], "little" if content[:4] == b"RIFF" else "big")
    if len(content) - 8 < promised < UNKNOWN:
        raise ValueError("cut short")
    try:
        rate, samples = wavfile.read(BytesIO(content))
    # Damaged files raise all kinds of errors.
    except Exception as error:
        raise ValueError(f"no .wav: {error}") from error
    if not 0 < rate <= HIGHEST_RATE or not 0 < samples.size <= LONGEST:
        raise ValueError(f"{samples.size:,} samples, {rate:,} a second")
    samples = _as_numbers(samples)
    if not np.isfinite(samples).all():
        raise ValueError("values that are no numbers")
    return rate, samples if samples.ndim == 1 else samples.mean(1)


def _as_numbers(samples: np.ndarray) -> np.ndarray:
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    # Those of 24 bits stand in the upper bits of 32.
    return samples / -float(np.iinfo(samples.dtype).min)


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The same sound at another rate, by a polyphase filter."""
    ratio = Fraction(wanted, rate)
    return samples if ratio == 1 else resample_poly(samples, ratio.numerator, ratio.denominator)


def sixteen_bits(samples: np.ndarray) -> np.ndarray:
    """As WAV files have numbers in [-1, 1]; louder ones are cut off."""
    return (samples * 32768).round().clip(-32768, 32767).astype("<i2")


def write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """One channel of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
