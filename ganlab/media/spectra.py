"""Spectra of sounds: how loud each frequency is at each moment, and sounds of given spectra."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

FAINTEST = 1e-5  # amplitude that counts as silence: -100 dB below a full sine
MOMENTUM = 0.99


@cache
def _window(size: int) -> Tensor:
    return torch.hann_window(size)


def stft(sounds: Tensor, size: int, hop: int, bins: int | None = None) -> Tensor:
    """Complex spectra (n, frequencies, moments) of sounds (n, samples), one moment each `hop` samples.

    A sine of amplitude 1 has the magnitude 1. Beyond its ends a sound is silent.

    Args:
        size: Samples of the window.
        bins: Samples of the transform, if more: frequencies that lie closer.
    """
    window = _window(size).to(sounds)
    spectra = torch.stft(
        sounds, bins or size, hop, size, window, center=True, pad_mode="constant", return_complex=True
    )
    return spectra * (2 / window.sum())


def inverse_stft(spectra: Tensor, size: int, hop: int, length: int) -> Tensor:
    """Sounds of so many samples, whose spectra come as near to these as overlapping windows allow."""
    window = _window(size).to(spectra.real)
    return torch.istft(spectra * (window.sum() / 2), size, hop, size, window, center=True, length=length)


def griffin_lim(magnitudes: Tensor, size: int, hop: int, length: int, iterations: int) -> Tensor:
    """Sounds of these magnitudes: Griffin & Lim 1984, in the fast form of Perraudin et al. 2013, algorithm 2.

    It starts from the phases of a tone at each frequency, and not from chance: the same magnitudes make the
    same sound.
    """
    frequency = torch.arange(magnitudes.shape[1], device=magnitudes.device)[:, None]
    moment = torch.arange(magnitudes.shape[2], device=magnitudes.device)
    # A tone's phase turns by this much in a hop; exact whole numbers, so that it is the same everywhere.
    turns = (frequency * moment * hop % size).to(magnitudes.dtype) / size
    spectra = torch.polar(magnitudes, (2 * torch.pi * turns).expand_as(magnitudes))
    before = torch.zeros_like(spectra)
    for _ in range(iterations):
        consistent = stft(inverse_stft(spectra, size, hop, length), size, hop)
        ahead, before = consistent + MOMENTUM * (consistent - before), consistent
        spectra = torch.polar(magnitudes, ahead.angle())
    return inverse_stft(spectra, size, hop, length)


@cache
def mel_filters(bands: int, frequencies: int, rate: int) -> Tensor:
    """Triangles that are equally wide on the mel scale, (bands, frequencies), each with the sum 1."""
    highest = 2595 * torch.tensor(1 + rate / 2 / 700, dtype=torch.float64).log10()
    edges = 700 * (10 ** (torch.linspace(0, 1, bands + 2, dtype=torch.float64) * highest / 2595) - 1)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = torch.linspace(0, rate / 2, frequencies, dtype=torch.float64)
    filters = torch.minimum((at - left) / (middle - left), (right - at) / (right - middle)).clamp(min=0)
    return (filters / filters.sum(1, keepdim=True).clamp(min=1e-12)).float()


def log_mel(sounds: Tensor, rate: int, *, bands: int, size: int, hop: int) -> Tensor:
    """Decibels (n, bands, moments) of sounds (n, samples) in [-1, 1]; silence has -100."""
    magnitudes = stft(sounds, size, hop, 2 * size).abs()
    loudness = mel_filters(bands, magnitudes.shape[1], rate).to(magnitudes) @ magnitudes.square()
    return 10 * loudness.clamp(min=FAINTEST**2).log10()
