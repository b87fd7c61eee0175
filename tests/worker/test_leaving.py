"""Who may ask a worker to leave, and what several who ask agree on."""

from voxfleet.worker.leaving import Ending, Leaving


class HeldClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


async def test_the_earliest_deadline_holds() -> None:
    clock = HeldClock()
    leaving = Leaving(clock)
    assert (leaving.left, leaving.over, leaving.asked.is_set()) == (0.0, False, False)
    assert leaving.ask(25.0, replace=False)
    clock.time += 5
    assert leaving.left == 20.0
    assert not leaving.ask(25.0, replace=False), "a later deadline changes nothing"
    assert leaving.left == 20.0
    assert leaving.ask(3.0, replace=False)
    assert (leaving.left, leaving.over) == (3.0, False)
    clock.time += 3
    assert (leaving.left, leaving.over) == (0.0, True)


async def test_it_comes_back_only_if_all_who_asked_want_that() -> None:
    leaving = Leaving(HeldClock())
    endings = []
    for replace in (True, True, False, True):
        leaving.ask(25.0, replace=replace)
        endings.append(leaving.ending)
    assert endings == [Ending.REPLACE, Ending.REPLACE, Ending.DRAINED, Ending.DRAINED]


async def test_a_negative_time_means_now() -> None:
    leaving = Leaving(HeldClock())
    leaving.ask(-1.0, replace=False)
    assert leaving.over
