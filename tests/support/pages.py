"""Pages that several tests look at, each written once."""

from __future__ import annotations

from functools import cache

from tests.support.profiles import full_profile, plain_profile

LONG_NAME = "a-model-with-a-very-long-name" * 4


@cache
def whole_page() -> str:
    """The page of a profile that has everything."""
    from astroedge.workflows.pages.report import report_profiles

    return report_profiles([full_profile()]).decode()


@cache
def page_of_two() -> str:
    """The page of a profile that has a long name and little else, and of one that has everything."""
    from astroedge.workflows.pages.report import report_profiles

    return report_profiles(
        [plain_profile(LONG_NAME, seed=3), full_profile("other", "jetson-orin-nano-cuda", 2)]
    ).decode()
