"""The short form of tests/chaos/kill_stack.py (`make chaos`): a few kills while clients work."""

import json

import pytest

from chaos import kill_stack
from support.rabbitmq import require_rabbitmq


@pytest.mark.parametrize(
    'more', [(), ('--broker', 'rabbitmq', '--parts', 'rabbitmq', 'worker', 'worker child')], ids=len
)
def test_a_few_kills_lose_nothing_and_leave_nothing(tmp_path, more):
    if 'rabbitmq' in more:
        require_rabbitmq()
    report = kill_stack.run(
        kill_stack.parse([
            *('--kills', '5', '--seed', '5', '--sessions', '3', '--columns', '3', '--side', '96'),
            *('--folder', str(tmp_path / 'chaos'), *more),
        ])
    )  # fmt: skip
    assert report['kills'] == 5
    assert report['patches acknowledged'] >= 18
    assert report['well'], json.dumps(report, indent=1)
    assert ('rabbitmq' in report['killed']) == ('rabbitmq' in more)
