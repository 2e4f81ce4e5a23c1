"""Every page, on a phone and a desktop, light and dark: readable by everybody, and nothing about it refused or missing."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.pages import STOPS, Stop
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_page_is_sound_in_every_look(visit: Visit, seeded: Seeded, stop: Stop) -> None:
    with visit(token=stop.token) as visitor:
        stop.way(visitor, seeded)

        visitor.assert_sound(stop.name)
