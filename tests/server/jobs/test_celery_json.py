"""What goes over the wire to workers: JSON that nothing but the standard library reads."""

import json

import pytest
from girder_worker.app import app

from girder_zarr.server.jobs import celery_json, dispatch, girder_job
from girder_zarr.server.sessions.model import StitchSession
from support.server import png, random_pixels

pytestmark = pytest.mark.plugin('zarr')


@pytest.fixture
def queue(monkeypatch):
    """The queue of the workers, empty."""
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue(dispatch.QUEUE, accept=[celery_json.SERIALIZER])
        queue.clear()
        yield queue
        queue.close()


def test_the_message_of_a_session_is_json(api, session, queue):
    from girder.models.token import Token
    from girder_jobs.models.job import Job

    api.put(session, 'a', png(random_pixels(8, 8)))
    tokens = Token().collection.count_documents({})
    assert api.finalize(session)[0] == 200
    document = StitchSession().get(session['_id'])
    message = queue.get(timeout=10)
    assert message.content_type == 'application/vnd.girder-zarr+json'
    body = message.body if isinstance(message.body, str) else message.body.decode()
    args, kwargs, _ = json.loads(body)
    assert (args, kwargs) == ([], {'sessionId': session['_id'], 'attempt': document['attempt']})
    assert message.payload[1] == kwargs
    headers = json.loads(json.dumps(message.headers))
    assert headers['task'] == 'girder_zarr.server.tasks.stitch'
    assert not any('jobInfo' in name or 'girder_user' in name for name in headers)
    job = Job().load(document['jobId'], force=True)
    assert headers['id'] == job['celeryTaskId']
    assert job['type'] == girder_job.JOB_TYPE
    # each request makes one, and no job is given one to call back with
    assert Token().collection.count_documents({}) == tokens + 1
    message.ack()


def test_python_objects_are_not_made_of_messages(api, queue):
    """What jsonpickle would make an object of stays what it is."""
    body = json.dumps([[], {'sessionId': {'py/object': 'pathlib.Path'}, 'attempt': 'x'}, {}])
    queue.producer.publish(
        body, content_type=celery_json.CONTENT_TYPE, content_encoding='utf-8', routing_key=dispatch.QUEUE
    )
    message = queue.get(timeout=10)
    assert message.payload[1]['sessionId'] == {'py/object': 'pathlib.Path'}
    message.ack()
