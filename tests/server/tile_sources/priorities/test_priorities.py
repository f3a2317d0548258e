"""Who opens what: the setting is felt at once and everywhere, and the explanation agrees with the choice."""

import io
import threading

import girder.models
import large_image
import large_image.tilesource
import pytest
from girder.exceptions import ValidationException
from girder.models.item import Item
from girder.models.setting import Setting
from girder.models.upload import Upload
from girder_large_image import girder_tilesource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_image.constants import SourcePriority
from large_image.tilesource import FileTileSource

from girder_zarr.server.settings import polled
from girder_zarr.server.tile_sources import explain as explanation
from girder_zarr.server.tile_sources import priorities
from support.fake_sources import (
    KEY,
    chosen,
    make_item,
    make_source,
    with_plugin,
)


def test_an_override_counts_with_the_next_image_and_goes_without_a_trace(db, installed, ab):
    assert chosen(*ab) == 'alpha'
    Setting().set(KEY, {'beta': {'AB': 'HIGHER'}})
    assert chosen(*ab) == 'beta'
    Setting().set(KEY, {'beta': {'ab': 'LOW'}})
    assert chosen(*ab) == 'alpha'
    Setting().set(KEY, {'beta': {'ab': 1}})
    Setting().unset(KEY)
    assert chosen(*ab) == 'alpha'
    assert dict(installed['beta'].extensions) == {None: 12, 'ab': 4, 'b': 5}


def test_off_for_an_extension_for_the_default_and_for_a_source(db, installed, ab, admin, folder):
    Setting().set(KEY, {'alpha': {'ab': 'off'}})
    assert chosen(*ab) == 'beta'
    # What its extension no longer says, a source may still try as a last resort, until that is off as well.
    Setting().set(KEY, {'alpha': {'ab': 'off'}, 'beta': 'off'})
    assert chosen(*ab) == 'alpha'
    Setting().set(KEY, {'alpha': {'ab': 'off', '': 'off'}, 'beta': 'off'})
    assert chosen(*ab) is None

    by_type = make_item(admin, folder, 'plain', b'gamma', 'image/gamma')
    by_name = make_item(admin, folder, 'x.gamma-1', b'gamma')
    Setting().unset(KEY)
    assert [chosen(*by_type), chosen(*by_name)] == ['gamma', 'gamma']
    Setting().set(KEY, {'gamma': 'off'})
    assert [chosen(*by_type), chosen(*by_name)] == ['alpha', 'alpha']


def test_a_source_can_be_given_an_extension_that_it_does_not_list(db, installed, admin, assetstore, folder):
    odd = make_item(admin, folder, 'picture.odd', b'gamma')
    assert chosen(*odd) == 'alpha'
    Setting().set(KEY, {'gamma': {'odd': 'HIGH'}})
    assert chosen(*odd) == 'gamma'


def test_the_order_by_mime_type_decides_and_can_be_changed(db, installed, admin, assetstore, folder):
    typed = make_item(admin, folder, 'plain', b'gamma', 'image/gamma')
    assert chosen(*typed) == 'gamma'
    Setting().set(KEY, {'beta': {'Image/Gamma': 'NAMED'}})
    assert Setting().get(KEY) == {'beta': {'image/gamma': 'NAMED'}}
    assert chosen(*typed) == 'beta'
    Setting().set(KEY, {'gamma': {'image/gamma': 'off'}})
    assert chosen(*typed) == 'alpha'
    # An extension of the same source is another key.
    Setting().set(KEY, {'gamma': {'image/gamma': 'off', 'g': 'LOW'}})
    assert dict(installed['gamma'].extensions) == {None: 12, 'g': 5}
    assert dict(installed['gamma'].mimeTypes) == {None: 11}
    Setting().unset(KEY)
    assert chosen(*typed) == 'gamma'


def test_uploads_are_looked_at_by_the_mime_types_in_force(db, installed):
    Setting().set(KEY, {'alpha': {'image/vnd.odd': 'HIGH'}, 'gamma': {'image/gamma': 'off'}})
    girder_tilesource.loadGirderTileSources()
    assert girder_tilesource.KnownMimeTypes == {'image/vnd.odd', 'image/foreign'}
    Setting().unset(KEY)
    girder_tilesource.loadGirderTileSources()
    assert girder_tilesource.KnownMimeTypes == {'image/gamma', 'image/foreign'}


def test_uploads_are_looked_at_by_the_extensions_in_force(db, installed):
    Setting().set(KEY, {'alpha': {'ab': 'off', 'odd': 'HIGH'}, 'beta': {'b': 'off'}})
    girder_tilesource.loadGirderTileSources()
    assert girder_tilesource.KnownExtensions == {'ab', 'odd', 'g', 'foreign'}
    Setting().unset(KEY)
    girder_tilesource.loadGirderTileSources()
    assert girder_tilesource.KnownExtensions == {'ab', 'b', 'g', 'foreign'}


@with_plugin
def test_an_upload_registers_with_the_source_in_force(server, sources, admin, assetstore, folder):
    def upload(name):
        item = Item().createItem(name, admin, folder)
        Upload().uploadFromFile(io.BytesIO(b'gamma'), 5, name, 'item', item, admin)
        return Item().load(item['_id'], force=True).get('largeImage', {}).get('sourceName')

    assert upload('a.odd') is None
    Setting().set(KEY, {'gamma': {'odd': 'HIGH'}})
    assert upload('b.odd') == 'gamma'


def other_process_writes(value):
    """What a save in another process is to this one: a document that changes without an event."""
    Setting().collection.replace_one({'key': KEY}, {'key': KEY, 'value': value}, upsert=True)


def test_another_process_is_heard_within_the_bounded_age(db, installed, ab, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(polled.time, 'monotonic', lambda: now[0])
    priorities.overrides.invalidate()
    assert chosen(*ab) == 'alpha'
    other_process_writes({'alpha': 'off'})
    now[0] += polled.MAX_AGE
    assert chosen(*ab) == 'beta'
    Setting().collection.delete_one({'key': KEY})
    now[0] += polled.MAX_AGE
    assert chosen(*ab) == 'alpha'


def test_the_database_is_asked_once_in_that_age(db, installed, ab, monkeypatch):
    asked = []
    monkeypatch.setattr(polled.time, 'monotonic', lambda: 1000.0)
    monkeypatch.setattr(polled, 'stored_value', lambda _key: asked.append(1))
    priorities.overrides.invalidate()
    for _ in range(5):
        chosen(*ab)
    assert asked == [1]


def test_the_environment_wins_as_with_every_girder_setting(db, installed, ab, monkeypatch):
    Setting().set(KEY, {'beta': {'ab': 1}})
    monkeypatch.setenv('GIRDER_SETTING_ZARR_SOURCE_PRIORITIES', '{"alpha": {"ab": "NAMED"}}')
    priorities.overrides.invalidate()
    assert chosen(*ab) == 'alpha'


def test_a_value_that_came_in_past_the_validator_is_left_out(db, installed, ab, caplog):
    other_process_writes({'alpha': {'ab': 'BEST'}})
    priorities.overrides.invalidate()
    assert chosen(*ab) == 'alpha'
    assert 'found "BEST"' in caplog.text


def test_no_database_leaves_the_last_known_priorities(db, installed, ab, monkeypatch, caplog):
    Setting().set(KEY, {'alpha': 'off'})
    assert chosen(*ab) == 'beta'

    def unreachable(key):
        raise ConnectionError('no database')

    monkeypatch.setattr(polled, 'stored_value', unreachable)
    priorities.overrides.invalidate()
    assert chosen(*ab) == 'beta'
    assert 'no database' in caplog.text


def test_a_worker_without_a_database_does_not_wait_for_it(sources, monkeypatch, caplog):
    monkeypatch.setattr(girder.models, '_dbClients', {})
    monkeypatch.setattr(girder.models, 'getDbConfig', lambda: {'uri': 'mongodb://127.0.0.1:1/girder'})
    monkeypatch.setattr(polled, 'PATIENCE', 0.05)
    priorities.install()
    assert dict(sources['beta'].extensions) == {None: 12, 'ab': 4, 'b': 5}
    assert 'cannot be read' in caplog.text
    # ... and does not try again with the next image.
    caplog.clear()
    assert 'ab' in sources['beta'].extensions
    assert caplog.text == ''


def test_workers_that_choose_with_large_image_itself_agree(db, sources, monkeypatch, tmp_path):
    class One(FileTileSource):
        name = 'one'
        extensions = {None: SourcePriority.MANUAL, 'ab': SourcePriority.HIGH}

        def __init__(self, path, **kwargs):
            pass

    class Two(One):
        name = 'two'
        extensions = {None: SourcePriority.MANUAL, 'ab': SourcePriority.LOW}

    path = tmp_path / 'picture.ab'
    path.write_bytes(b'')
    monkeypatch.setattr(large_image.tilesource, 'AvailableTileSources', {'one': One, 'two': Two})
    priorities.install()

    def who():
        return large_image.tilesource.getSourceNameFromDict(large_image.tilesource.AvailableTileSources, path)

    assert who() == 'one'
    Setting().set(KEY, {'one': {'ab': 'off'}})
    assert who() == 'two'
    listed = large_image.tilesource.listSources(large_image.tilesource.AvailableTileSources)
    assert listed['extensions']['ab'] == [(SourcePriority.LOW, 'two')]
    priorities.uninstall()
    assert type(One.extensions) is dict
    assert who() == 'one'


def test_sources_that_are_loaded_later_are_covered(db, sources):
    priorities.install()
    late = make_source('late', {None: SourcePriority.MANUAL, 'late': SourcePriority.HIGH})
    sources['late'] = late
    Setting().set(KEY, {'late': {'late': 'off'}})
    girder_tilesource.loadGirderTileSources()
    assert 'late' not in late.extensions


def test_what_a_source_adds_with_its_first_file_counts_from_the_start(db, sources, caplog):
    """As large_image's pil does it; else two processes would choose differently."""

    class Late(make_source('late', {None: SourcePriority.MANUAL})):
        @classmethod
        def addKnownExtensions(cls):
            if '_added' not in vars(cls):
                cls._added = True
                cls.extensions = cls.extensions.copy()
                cls.extensions['late'] = SourcePriority.HIGH

    class Broken(make_source('broken', {None: SourcePriority.MANUAL})):
        @classmethod
        def addKnownExtensions(cls):
            raise ImportError('no library')

    sources.update(late=Late, broken=Broken)
    priorities.install()
    assert explanation.rank(explanation.Facts.named('a.late', None))[0].source == 'late'
    assert 'broken cannot say which extensions it knows' in caplog.text
    Setting().set(KEY, {'late': {'late': 'off'}})
    assert dict(Late.extensions) == {None: 12}


def test_a_source_that_adds_to_a_copy_of_its_extensions_keeps_its_overrides(db, installed):
    beta = installed['beta']
    Setting().set(KEY, {'beta': {'later': 'PREFERRED', 'b': 'off'}})
    beta.extensions = beta.extensions.copy()
    for extension in ('later', 'b', 'more'):
        if extension == 'later' or extension not in beta.extensions:
            beta.extensions[extension] = SourcePriority.LOWER
    assert dict(beta.extensions) == {None: 12, 'ab': 4, 'later': 1, 'more': 6}
    Setting().unset(KEY)
    assert dict(beta.extensions) == {None: 12, 'ab': 4, 'b': 5, 'later': 6, 'more': 6}


def test_threads_read_one_state_or_the_other(db, installed, ab):
    file_facts = explanation.Facts('picture.ab', ('ab',), None, None)
    orders, stop = set(), threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            try:
                ranked = explanation.rank(file_facts)
            except Exception as exception:  # noqa: BLE001  any failure is one too many
                failures.append(exception)
                return
            orders.add(tuple(c.source for c in ranked if c.considered and not c.fallback))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        Setting().set(KEY, {'beta': {'ab': 'NAMED'}})
        Setting().unset(KEY)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert orders <= {('alpha', 'beta'), ('beta', 'alpha')}


values = st.one_of(st.sampled_from(list(SourcePriority)).map(lambda p: p.name), st.just('off'))
any_setting = st.dictionaries(
    st.sampled_from(['alpha', 'beta', 'gamma']),
    st.one_of(
        st.just('off'),
        st.dictionaries(st.sampled_from(['default', 'ab', 'b', 'g', 'x', 'image/gamma']), values),
    ),
)


@pytest.fixture
def many_items(admin, assetstore, folder):
    return [
        make_item(admin, folder, 'a.ab', b'gamma'),
        make_item(admin, folder, 'a.b.g'),
        make_item(admin, folder, 'a', b'gamma', 'image/gamma'),
        make_item(admin, folder, 'x.gamma-7', b'gamma'),
        make_item(admin, folder, 'a.x.AB'),
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_setting)
def test_the_explanation_and_the_choice_agree(db, installed, many_items, value):
    Setting().set(KEY, value)
    for item, file in many_items:
        assert explanation.explain(item, file)['wouldChoose'] == chosen(item, file)


def test_the_plugin_says_no_to_nonsense_before_it_is_stored(db, installed, ab):
    with pytest.raises(ValidationException):
        Setting().set(KEY, {'alpha': {'ab': 'first'}})
    assert chosen(*ab) == 'alpha'
    assert Setting().findOne({'key': KEY}) is None
