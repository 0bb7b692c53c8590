"""Sounds: levels, files of any kind, spectra, and spectrograms that become sounds again."""

import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import Tensor

from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.errors import Refused
from ganlab.media import Sound, Spectrogram
from ganlab.media.spectra import mel_filters, stft
from ganlab.media.wav import read_wav

RATE, LENGTH = 8000, 2048
SOUND, PICTURE = Sound((1, LENGTH), RATE), Spectrogram((1, 64, 32), RATE, hop=64)


def tone(pitch: float, *, rate: int = RATE, samples: int = LENGTH, loudness: float = 0.5) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * pitch * np.arange(samples) / rate)


def stored(*sounds: np.ndarray) -> Tensor:
    return SOUND.stored(torch.from_numpy(np.stack(sounds))[:, None])


def pitch(samples: np.ndarray, rate: int) -> float:
    """The loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


def written(samples: np.ndarray, rate: int = RATE) -> bytes:
    wavfile.write(file := BytesIO(), rate, samples)
    return file.getvalue()


def of_24_bits(levels: np.ndarray) -> bytes:
    with wave.open(file := BytesIO(), "wb") as out:
        out.setparams((1, 3, RATE, 0, "NONE", ""))
        out.writeframes(b"".join(int(level).to_bytes(3, "little", signed=True) for level in levels))
    return file.getvalue()


def test_every_level_survives_the_way_through_floats() -> None:
    levels = torch.arange(-(2**15), 2**15).short()[None, None]
    assert torch.equal(SOUND.stored(SOUND.played(levels)), levels)
    assert (float(SOUND.played(levels).min()), float(SOUND.played(levels).max())) == (-1, 32767 / 32768)
    assert SOUND.stored(torch.tensor([[[-2.0, 2.0]]])).tolist() == [[[-32768, 32767]]]
    with pytest.raises(Refused, match="no numbers"):
        SOUND.stored(torch.tensor([[[float("nan")]]]))


@pytest.mark.parametrize("medium", [SOUND, PICTURE], ids=["sound", "spectrogram"])
def test_it_is_written_as_it_sounds(medium: Sound, tmp_path: Path) -> None:
    (item,) = stored(tone(440))
    medium.write(tmp_path / "a.wav", item)
    rate, samples = wavfile.read(tmp_path / "a.wav")
    assert (rate, samples.dtype) == (RATE, np.int16)
    assert np.array_equal(samples, item[0].numpy())
    assert torch.equal(Sound.read((tmp_path / "a.wav").read_bytes()), item)
    plain = medium.plain()
    assert ALLOWED[plain["class_path"]](**plain["init_args"]).plain() == plain


FORMS = {
    "8 bits": (written((tone(440) * 128 + 128).round().astype(np.uint8)), 1 / 128),
    "16 bits": (written((tone(440) * 2**15).astype(np.int16)), 2**-15),
    "24 bits": (of_24_bits(tone(440) * 2**23), 2**-23),
    "32 bits": (written((tone(440) * 2**31).astype(np.int32)), 2**-31),
    "floats": (written(tone(440).astype(np.float32)), 2**-23),
    "two channels": (written(np.stack([tone(440) * 2, np.zeros(LENGTH)], 1).astype(np.float32)), 2**-23),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_any_depth_hold_the_same(form: str) -> None:
    content, precision = FORMS[form]
    rate, samples = read_wav(content)
    assert rate == RATE
    assert np.abs(samples - tone(440)).max() <= precision


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100])
def test_another_rate_is_resampled_and_the_pitch_stays(rate: int) -> None:
    sound = Sound.read_at(RATE, written(tone(440, rate=rate, samples=rate // 4).astype(np.float32), rate))
    samples = sound[0].numpy() / 2**15
    assert len(samples) == pytest.approx(RATE / 4, abs=2)
    assert pitch(samples, RATE) == pytest.approx(440, abs=4)
    assert np.abs(samples[200:-200]).max() == pytest.approx(0.5, abs=0.02)


WHOLE = written((tone(440) * 2**15).astype(np.int16))
PIPED = WHOLE[:4] + b"\xff" * 4 + WHOLE[8:40] + b"\xff" * 4 + WHOLE[44:]
BROKEN = {
    "empty": b"",
    "of text": b"RIFF, but not really a sound at all, whatever its name says",
    "cut in its head": WHOLE[:30],
    "cut in its samples": WHOLE[:-100],
    "without samples": written(np.zeros(0, np.int16)),
    "of a rate of 0": WHOLE[:24] + bytes(4) + WHOLE[28:],
    "of what is no number": written(np.full(9, np.nan, np.float32)),
}


def test_a_file_whose_writer_did_not_know_its_length_is_read() -> None:
    assert np.array_equal(read_wav(PIPED)[1], read_wav(WHOLE)[1])


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_no_sound(how: str) -> None:
    with pytest.raises(ValueError, match=r"no \.wav|empty|cut short|samples|numbers"):
        read_wav(BROKEN[how])


def test_sheets_show_high_tones_above_low_ones_and_silence_black() -> None:
    low, high, none = stored(tone(300), tone(2500), tone(0))
    rows = []
    for sound in (low, high):
        shades = np.asarray(SOUND.sheet(sound[None]))
        assert shades.shape[0] == 64
        rows.append(int(shades.mean(1).argmax()))
        assert shades.max() > 200
    assert rows[0] > rows[1] + 20
    assert not np.asarray(SOUND.sheet(none[None])).any()
    assert SOUND.captioned(torch.stack([low, high]), ["low", "high"]).height > 64


def test_the_spectrum_of_a_full_sine_is_1_at_its_frequency() -> None:
    magnitudes = stft(torch.from_numpy(tone(1000, loudness=1))[None].float(), 256, 64).abs()[0, :, 8:-8]
    assert int(magnitudes.mean(1).argmax()) == 32
    assert magnitudes[32].mean().item() == pytest.approx(1, abs=1e-3)


def test_mel_filters_are_means_over_rising_frequencies() -> None:
    filters = mel_filters(40, 257, RATE)
    assert torch.allclose(filters.sum(1), torch.ones(40), atol=1e-6)
    centres = filters @ torch.linspace(0, RATE / 2, 257)
    assert (centres.diff() > 0).all()
    assert centres.diff()[-1] > 4 * centres.diff()[0]


def chirps() -> Tensor:
    time = np.arange(LENGTH) / RATE
    loudness = np.hanning(LENGTH)
    rising = [loudness * 0.4 * np.sin(2 * np.pi * (start + 2000 * time) * time) for start in (200, 600)]
    return stored(*rising, loudness * 0.1 * np.random.default_rng(0).standard_normal(LENGTH))


def test_a_spectrogram_is_a_picture_between_minus_one_and_one() -> None:
    played = PICTURE.played(chirps())
    assert played.shape == (3, *PICTURE.shape)
    assert (played.min(), played.abs().max() <= 1) == (-1, True)
    full = PICTURE.played(stored(tone(1000, loudness=0.99)))[0, 0]
    assert int(full.mean(1).argmax()) == 16
    assert full[16, 4:-4].mean().item() == pytest.approx(1, abs=0.01)


def test_griffin_lim_brings_back_a_sound_of_the_same_spectrum() -> None:
    sounds = chirps()
    again = PICTURE.stored(PICTURE.played(sounds))
    one, other = (stft(each[:, 0].float() / 2**15, 128, 64).abs() for each in (sounds, again))
    error = (one - other).norm(dim=(1, 2)) / one.norm(dim=(1, 2))
    assert (error < 0.15).all(), error  # 0.11, 0.06 and, of noise, 0.10
    rough = Spectrogram((1, 64, 32), RATE, hop=64, iterations=1)
    fewer = stft(rough.stored(rough.played(sounds))[:, 0].float() / 2**15, 128, 64).abs()
    assert ((one - fewer).norm(dim=(1, 2)) > (one - other).norm(dim=(1, 2))).all()


def test_the_same_spectrogram_always_makes_the_same_sound() -> None:
    played = PICTURE.played(chirps())
    together = PICTURE.stored(played)
    assert torch.equal(together, PICTURE.stored(played))
    alone = torch.cat([PICTURE.stored(one[None]) for one in played])
    assert (together - alone).abs().max() <= 1
    assert not PICTURE.stored(torch.full((1, *PICTURE.shape), -1.0)).any()
    assert torch.equal(PICTURE.stored(together), together)


def test_a_spectrogram_that_cannot_be_told_back_is_refused() -> None:
    with pytest.raises(Refused, match="hop is 65"):
        Spectrogram((1, 64, 32), RATE, hop=65)
