"""Notes about samples without a route, and routes without a sample."""

from collections.abc import Iterator

from domain.profiles import Profile, Sample
from domain.sample_events import has_source, matching_samples, sample_payloads, type_of_sample
from domain.unmatched_events import source_hint, why_no_route


def notes_on_samples(profile: Profile) -> Iterator[str]:
    """Yields a line for each sample that no route of its profile matches, and for each route without a sample; for a
    profile without samples, a single line.
    """
    if not profile.samples:
        yield "it has no samples: with samples, this command finds misspelt paths and renders the mails"
        return
    for number, sample in enumerate(profile.samples, 1):
        if reason := _unmatched(profile, sample):
            yield f"sample {number} ({sample.title!r}): {reason}"
    for number, route in enumerate(profile.routes, 1):
        if not matching_samples(profile, route):
            yield f"route {number} ({route.source!r}) has no sample"
        elif not sample_payloads(profile, route):
            yield f"route {number} ({route.source!r}) has no sample that fulfils its conditions"


def _unmatched(profile: Profile, sample: Sample) -> str | None:
    of_source = [(number, route) for number, route in enumerate(profile.routes, 1) if has_source(sample, route)]
    type_ = type_of_sample(sample.payload)
    if any(route.type in (None, type_) for _, route in of_source):
        return None
    text = why_no_route(sample.source, type_, ((f"route {number}", route.type or "") for number, route in of_source))
    return text.removesuffix(".") + (
        "" if of_source else source_hint(sample.source, (one.source for one in profile.routes))
    )
