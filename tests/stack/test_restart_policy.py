"""Parts that end by themselves: when they are started again, and when that is given up."""

import pytest

from girder_zarr.errors import StackError
from girder_zarr.stack.restart_policy import MAX_FAILED_STARTS, PAUSES, STEADY_SECONDS, RestartPolicy


class FakePart:
    """A part whose end and readiness a test decides."""

    name, log = 'worker', 'worker.log'

    def __init__(self):
        self.starts, self.alive, self.ready, self.cleared = 0, True, True, 0

    def ended(self):
        return None if self.alive else 'signal SIGKILL'

    def is_ready(self):
        return self.ready

    def clear(self):
        self.cleared += 1

    def start_again(self):
        self.starts += 1
        self.alive = True

    def send_signal(self, _number):
        self.alive = False


class Watched:
    """The policy of one part, with a clock that a test turns."""

    def __init__(self):
        self.part, self.lines, self.time = FakePart(), [], 0.0
        self.policy = RestartPolicy([self.part], self.lines.append, 60.0, clock=lambda: self.time)

    def pause_after_an_end(self):
        """Let the part end; return how long it took until it was started again."""
        self.part.alive, starts, began = False, self.part.starts, self.time
        while not self.policy.check() and self.part.starts == starts:
            self.time += 0.25
        return self.time - began


def test_a_part_that_ends_is_started_again_and_that_is_said():
    watched = Watched()
    assert watched.policy.check()
    assert watched.pause_after_an_end() == 0
    assert watched.part.starts == watched.part.cleared == 1
    assert watched.policy.check()
    ended, answers = watched.lines
    assert ended.endswith(
        'The worker has ended (signal SIGKILL) and is started again now; its log is worker.log.'
    )
    assert answers.endswith('The worker answers again.')


def test_pauses_grow_to_a_bound_while_it_goes_on_ending_and_shrink_when_it_stays():
    watched = Watched()
    pauses = []
    for _ in range(len(PAUSES) + 2):
        pauses.append(watched.pause_after_an_end())
        assert watched.policy.check()
    assert tuple(pauses) == (*PAUSES, PAUSES[-1], PAUSES[-1])
    assert any(f'in {PAUSES[-1]:g} seconds' in line for line in watched.lines)
    watched.time += STEADY_SECONDS
    assert watched.pause_after_an_end() == PAUSES[0]


def test_starts_that_lead_nowhere_are_given_up():
    watched = Watched()
    watched.part.ready = False
    for _ in range(MAX_FAILED_STARTS):
        watched.pause_after_an_end()
    watched.part.alive = False
    with pytest.raises(StackError, match=r'The worker ended \(signal SIGKILL\), and 10 starts in a row'):
        watched.policy.check()
    assert watched.part.starts == MAX_FAILED_STARTS


def test_a_part_that_does_not_answer_is_killed_and_started_again():
    watched = Watched()
    watched.part.ready = False
    watched.pause_after_an_end()
    watched.time += 61
    assert not watched.policy.check()
    assert not watched.part.alive
    watched.part.ready = True
    watched.pause_after_an_end()
    assert watched.policy.check()
    assert any('does not answer after 60 seconds' in line for line in watched.lines)
