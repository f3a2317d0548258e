"""Who opens what: the setting is felt at once and everywhere, and the explanation agrees with the choice."""

import io
import json
import threading

import girder.models
import large_image
import large_image.tilesource
import pytest
from girder import plugin
from girder.exceptions import ValidationException
from girder.models.file import File
from girder.models.folder import Folder
from girder.models.item import Item
from girder.models.setting import Setting
from girder.models.upload import Upload
from girder.plugin import GirderPlugin
from girder_large_image import girder_tilesource
from girder_large_image.girder_tilesource import GirderTileSource, getGirderTileSourceName
from girder_large_image.models.image_item import ImageItem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_image.constants import SourcePriority
from large_image.exceptions import TileSourceError
from large_image.tilesource import FileTileSource
from pytest_girder.assertions import assertStatus, assertStatusOk

from girder_zarr.server.api import tile_sources
from girder_zarr.server.settings import polled
from girder_zarr.server.settings.define import SettingKey
from girder_zarr.server.tile_sources import explain as explanation
from girder_zarr.server.tile_sources import priorities

KEY = SettingKey.SOURCE_PRIORITIES


class PrioritiesPlugin(GirderPlugin):
    """As much of the plugin as this file is about."""

    def load(self, info):
        plugin.getPlugin('large_image').load(info)
        tile_sources.register(info)


with_plugin = pytest.mark.plugin('priorities_test', PrioritiesPlugin)


def make_source(label, extensions, reads=b'', **attributes):
    """Make a source for files that start with `reads`."""

    class Source(GirderTileSource):
        name = label

        def __init__(self, item, **kwargs):  # noqa: ARG002  large_image passes its own
            file = File().load(item['largeImage']['fileId'], force=True)
            with File().open(file) as handle:
                if handle.read(len(reads)) != reads:
                    path = File().getLocalFilePath(file)
                    raise TileSourceError(f'{label} expected a file that begins with {reads!r}, not {path}.')

        @classmethod
        def canRead(cls, item, **kwargs):  # noqa: ARG003
            try:
                cls(item)
            except TileSourceError:
                return False
            return True

    Source.extensions = dict(extensions)
    Source.mimeTypes = attributes.pop('mimeTypes', {None: SourcePriority.MANUAL})
    for key, value in attributes.items():
        setattr(Source, key, value)
    return Source


@pytest.fixture
def sources(monkeypatch):
    """Three sources of our own in place of those that happen to be installed."""
    registry = {
        'alpha': make_source('alpha', {None: SourcePriority.FALLBACK, 'ab': SourcePriority.HIGH}),
        'beta': make_source(
            'beta', {None: SourcePriority.MANUAL, 'ab': SourcePriority.MEDIUM, 'b': SourcePriority.LOW}
        ),
        'gamma': make_source(
            'gamma',
            {None: SourcePriority.MANUAL, 'g': SourcePriority.PREFERRED},
            reads=b'gamma',
            mimeTypes={None: SourcePriority.FALLBACK, 'image/gamma': SourcePriority.PREFERRED},
            nameMatches={r'.*\.gamma-\d+$': SourcePriority.PREFERRED},
        ),
    }
    monkeypatch.setattr(girder_tilesource, 'AvailableGirderTileSources', registry)
    monkeypatch.setattr(girder_tilesource, 'loadGirderTileSources', load_nothing)
    monkeypatch.setattr(girder_tilesource, 'KnownExtensions', {'ab', 'b', 'g', 'foreign'})
    priorities.overrides.invalidate()
    priorities.watch()
    return registry


def load_nothing():
    for source in girder_tilesource.AvailableGirderTileSources.values():
        girder_tilesource.KnownExtensions.update(key for key in source.extensions if key is not None)


@pytest.fixture(autouse=True)
def put_back():
    yield
    priorities.uninstall()
    priorities.overrides.invalidate()


@pytest.fixture
def installed(sources):
    priorities.install()
    return sources


@pytest.fixture
def assetstore(request):
    return request.getfixturevalue('fsAssetstore')


@pytest.fixture
def folder(admin):
    return Folder().createFolder(admin, 'images', parentType='user', public=True, reuseExisting=True)


def make_item(admin, folder, name, content=b'nothing', mime_type='application/octet-stream'):
    """Upload a file as users do, then take the large image away that may have been set."""
    item = Item().createItem(name, admin, folder)
    file = Upload().uploadFromFile(
        io.BytesIO(content), len(content), name, 'item', item, admin, mimeType=mime_type
    )
    item = Item().load(item['_id'], force=True)
    item.pop('largeImage', None)
    return Item().save(item), file


def chosen(item, file):
    return getGirderTileSourceName({**item, 'largeImage': {'fileId': file['_id']}}, file)


@pytest.fixture
def ab(admin, assetstore, folder):
    return make_item(admin, folder, 'picture.ab')


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


def get(server, path, user=None, **params):
    return server.request(path=path, method='GET', user=user, params=params)


@with_plugin
def test_listing_the_sources(server, sources, admin, user):
    Setting().set(KEY, {'alpha': {'odd': 'LOW', 'ab': 'off'}, 'elsewhere': {'x': 1}, 'gamma': 'off'})
    response = get(server, '/zarr/source', user)
    assertStatusOk(response)
    assert {'name': 'PREFERRED', 'value': 1} in response.json['priorities']
    assert response.json['fixedByEnvironment'] is False
    listed = {source['name']: source for source in response.json['sources']}
    assert list(listed) == ['alpha', 'beta', 'elsewhere', 'gamma']
    rows = {row['extension']: row for row in listed['alpha']['extensions']}
    assert next(iter(rows)) == 'default'
    assert rows['ab'] == {
        'extension': 'ab',
        'default': {'value': 3, 'name': 'HIGH'},
        'effective': None,
        'override': 'off',
    }
    assert rows['odd'] == {
        'extension': 'odd',
        'default': None,
        'effective': {'value': 5, 'name': 'LOW'},
        'override': 'LOW',
    }
    assert not listed['elsewhere']['installed']
    assert listed['gamma']['off']
    assertStatus(get(server, '/zarr/source'), 401)
    # large_image's own listing shows the same.
    shown = get(server, '/large_image/sources').json
    assert 'ab' not in shown['alpha']['extensions']
    assert shown['alpha']['extensions']['odd'] == 5


@with_plugin
def test_the_setting_over_rest(server, sources, admin, user, assetstore, folder):
    item = make_item(admin, folder, 'picture.ab')

    def put(value, who):
        return server.request(
            path='/system/setting', method='PUT', user=who, params={'key': KEY, 'value': json.dumps(value)}
        )

    assertStatusOk(put({'beta': {'ab': 1}}, admin))
    assert chosen(*item) == 'beta'
    refused = put({'beta': {'ab': 'BEST'}}, admin)
    assertStatus(refused, 400)
    assert 'found "BEST"' in refused.json['message']
    assertStatus(put({}, user), 403)
    assert get(server, '/system/setting', admin, key=KEY).json == {'beta': {'ab': 'PREFERRED'}}
    assertStatusOk(put(None, admin))
    assert chosen(*item) == 'alpha'


@with_plugin
def test_the_explanation_of_an_item(server, sources, admin, user, assetstore, folder):
    item, file = make_item(admin, folder, 'picture.g.ab', mime_type='image/gamma')
    path = f'/zarr/item/{item["_id"]}/source'
    response = get(server, path)
    assertStatusOk(response)
    answer = response.json
    assert (answer['fileId'], answer['fileName']) == (str(file['_id']), 'picture.g.ab')
    assert (answer['current'], answer['wouldChoose']) == (None, 'alpha')
    gamma, alpha, beta = answer['sources']
    assert gamma['source'] == 'gamma'
    assert (gamma['canRead'], gamma['priorityName'], gamma['matched']) == (False, 'PREFERRED', 'extension .g')
    # The source's own sentence, without the place of the file on the server, which is for administrators.
    assert gamma['reason'] == "gamma expected a file that begins with b'gamma', not picture.g.ab."
    assert File().getLocalFilePath(file) in get(server, path, admin).json['sources'][0]['reason']
    assert (alpha['source'], alpha['canRead'], alpha['wouldChoose']) == ('alpha', True, True)
    assert (beta['source'], beta['canRead'], beta['wouldChoose']) == ('beta', True, False)

    # What is in force now, beside what was frozen when the image was registered.
    ImageItem().createImageItem(item, file, createJob=False)
    Setting().set(KEY, {'alpha': {'ab': 'off', 'default': 'off'}})
    answer = get(server, path, user).json
    assert (answer['current'], answer['wouldChoose']) == ('alpha', 'beta')
    last = answer['sources'][-1]
    assert (last['source'], last['considered'], last['canRead']) == ('alpha', False, None)
    assert last['reason'] == 'The administrator has turned this source off for files like this one.'
    unprobed = get(server, path, user, probe='false').json
    assert {source['canRead'] for source in unprobed['sources']} == {None}


@with_plugin
def test_who_may_ask_about_an_item(server, sources, admin, user, assetstore):
    private = Folder().createFolder(admin, 'mine', parentType='user', public=False)
    item, file = make_item(admin, private, 'picture.ab')
    path = f'/zarr/item/{item["_id"]}/source'
    assertStatus(get(server, path), 401)
    assertStatus(get(server, path, user), 403)
    assertStatusOk(get(server, path, admin))
    assertStatusOk(get(server, path, admin, fileId=str(file['_id'])))

    other, _ = make_item(admin, private, 'other.ab')
    assertStatus(get(server, f'/zarr/item/{other["_id"]}/source', admin, fileId=str(file['_id'])), 404)
    assertStatus(get(server, f'/zarr/item/{file["_id"]}/source', admin), 404)
    unknown = get(server, '/zarr/item/nonsense/source', admin)
    assertStatus(unknown, 404)
    assert 'found "nonsense"' in unknown.json['message']
    empty = Item().createItem('empty', admin, private)
    response = get(server, f'/zarr/item/{empty["_id"]}/source', admin)
    assertStatus(response, 404)
    assert response.json['message'] == 'Expected an item with a file, found one without.'


@with_plugin
def test_a_source_that_breaks_is_named(server, sources, admin, assetstore, folder):
    def broken(*args, **kwargs):
        raise RuntimeError('the library fell over')

    sources['alpha'].canRead = broken
    item, _ = make_item(admin, folder, 'picture.ab')
    answer = get(server, f'/zarr/item/{item["_id"]}/source', admin).json
    assert answer['sources'][0]['reason'] == 'the library fell over'
    assert answer['wouldChoose'] is None


values = st.one_of(st.sampled_from(list(SourcePriority)).map(lambda p: p.name), st.just('off'))
any_setting = st.dictionaries(
    st.sampled_from(['alpha', 'beta', 'gamma']),
    st.one_of(st.just('off'), st.dictionaries(st.sampled_from(['default', 'ab', 'b', 'g', 'x']), values)),
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
