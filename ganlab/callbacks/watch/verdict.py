"""A verdict on a run in words: what was looked at, and what was found."""

from __future__ import annotations

from ganlab.callbacks.watch.samples import SampleHistory
from ganlab.callbacks.watch.scores import COVERED, ScoreHistory, is_named
from ganlab.callbacks.watch.symptoms import TABLE, Symptoms

FAR_FROM_FLOOR = 5.0  # times the held-out reals' distance; of what is covered, less than half of theirs
UNMOVED = 0.9  # of the distance at the start


def verdict(symptoms: Symptoms, samples: SampleHistory, scores: ScoreHistory, *, finished: bool) -> str:
    """One line; it begins with the kind of a run that went wrong, or with how far another came."""
    present = symptoms.present()
    head = _failure(symptoms, samples) if present else _success(samples, scores, finished=finished)
    past = [alarm for alarm in symptoms.alarms if alarm["over"]] if not present else []
    after = (
        f"after {len(past)} alarm{'s' * (len(past) > 1)} that passed (the last: "
        f"{TABLE[past[-1]['symptom']].words}, at {short(past[-1]['images'])})"
        if past
        else ""
    )
    return "; ".join(part for part in (head, after, _looked_at(samples), _best(scores)) if part)


def _failure(symptoms: Symptoms, samples: SampleHistory) -> str:
    """What came first, with all that began at the same time."""
    since = min(symptoms.since[name] for name in symptoms.present())
    names = [name for name in symptoms.present() if symptoms.since[name] == since]
    number = f" to {counted(samples)}" if TABLE[names[0]].counted else ""
    words = "; ".join(TABLE[name].words for name in names)
    return f"{TABLE[names[0]].kind}{number} at {short(since)} images ({words})"


def counted(samples: SampleHistory) -> str:
    """How many distinct ones there are, and in how many classes, where samples are told any."""
    count = round(samples.distinct)
    classes = f" in {samples.classes} class{'es' * (samples.classes != 1)}" if samples.classes else ""
    return f"about {count} distinct sample{'s' * (count != 1)}{classes}"


def _success(samples: SampleHistory, scores: ScoreHistory, *, finished: bool) -> str:
    """How far a run came, by what it was compared with."""
    ends = "finished" if finished else "not finished"
    far, near = _beside_floor(scores)
    if far:
        return f"{ends}, far from the floor ({', '.join(far)})"
    if near:
        return f"{ends}, near the floor ({', '.join(near)})"
    if samples.start is None:
        return f"{ends}, not judged: nothing could be compared with the reals"
    if samples.recent[-1] > UNMOVED * samples.start:
        return f"{ends}, nothing learnt yet: samples are as far from the reals as at the start"
    return f"{ends}, learning" if not finished else f"{ends}, nearer to the reals than at the start"


def _beside_floor(scores: ScoreHistory) -> tuple[list[str], list[str]]:
    """The scores that tell how far a run came, beside held-out reals: those far from theirs, and the rest."""
    far: list[str] = []
    near: list[str] = []
    for name, value in scores.comparable.items():
        floor = scores.floor.get(name)
        covers = is_named(name, *COVERED)
        if value is None or floor is None or not (covers or scores.is_first_distance(name)):
            continue
        is_far = value < floor / 2 if covers else value > FAR_FROM_FLOOR * floor > 0
        reals = f"held-out reals {floor:.3g}"
        if floor > 0 and not covers:
            reals = f"{times(value / floor)} that of {reals}"
        (far if is_far else near).append(f"{name} {value:.3g}, {reals}")
    return far, near


def _looked_at(samples: SampleHistory) -> str:
    if samples.start is None:
        return ""
    share = samples.recent[-1] / samples.start if samples.start > 0 else 1.0
    within = f"; of a class {samples.of_class:.2g}, of reals {samples.reals_of_class:.2g}"
    return (
        f"samples at {max(0.0, share):.2g} of their first distance from the reals, "
        f"about {samples.distinct:.0f} of them distinct, of as many reals {samples.reals_distinct:.0f}"
        + within
        * bool(samples.classes)
    )


def _best(scores: ScoreHistory) -> str:
    if not (name := next(iter(scores.bests), None)):
        return ""
    (best, at), now = scores.bests[name], scores.now.get(name)
    return f"best {name} {best:.3g} at {short(int(at))}, now {'-' if now is None else f'{now:.3g}'}"


def times(ratio: float) -> str:
    """A ratio in words: 3.8 times, 1,200 times."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def short(images: int) -> str:
    """1,200,000: 1.2 M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if images >= size:
            return f"{images / size:.3g} {unit}"
    return str(images)
