import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ableTo, actOnAll, bulkQuestion } from '../src/lib/bulk.js';
import { roleOf, rolesOf, specWithRole } from '../src/lib/references.js';
import { addressFrom, filtersAfter, filtersFrom, queryFrom } from '../src/lib/sessionFilters.js';
import { isOnPlane, sessionChannels, slidersOf } from '../src/lib/sessionChannels.js';
import { changesOf, formOf } from '../src/lib/spec.js';

const session = (name, state, patches = 2, expected = null) => ({
    _id: name, name, state, counts: { patches, bytes: 1 }, spec: { expected }
});

test('an action passes over what it cannot be done with', () => {
    const sessions = [session('a', 'open'), session('b', 'open', 0), session('c', 'open', 1, 5), session('d', 'finalizing')];
    assert.deepEqual(ableTo(sessions, 'finalize').map(({ name }) => name), ['a']);
    assert.deepEqual(ableTo(sessions, 'delete').map(({ name }) => name), ['a', 'b', 'c']);
    assert.equal(bulkQuestion(sessions, 'delete')[0],
        'Delete 3 sessions with 3 patches? Finished images stay. 1 of the 4 chosen is passed over.');
});

test('what becomes of one does not hold up the others', async () => {
    const sessions = Array.from({ length: 9 }, (_, at) => session(`s${at}`, 'open'));
    let running = 0;
    let most = 0;
    const outcomes = await actOnAll(sessions, 'delete', {
        look: async (one) => (one.name === 's1' ? { ...one, state: 'finalizing' } : one),
        act: async (one) => {
            running += 1;
            most = Math.max(most, running);
            await Promise.resolve();
            running -= 1;
            if (one.name === 's2') {
                throw Object.assign(new Error('No.'), { status: 403 });
            }
        }
    });
    assert.deepEqual(outcomes.map(({ isDone }) => isDone), [true, false, false, ...new Array(6).fill(true)]);
    assert.deepEqual(outcomes.slice(1, 3).map(({ text, status }) => [text, status]), [['is finalizing', undefined], ['No.', 403]]);
    assert.ok(most <= 4);
});

test('filters stand in the address as long as they are unusual', () => {
    const filters = filtersFrom({ name: 'a b', state: 'open', order: 'name', page: '2', everybody: '1' }, true);
    assert.equal(addressFrom(filters), 'name=a+b&state=open&order=name&page=2&everybody=1');
    assert.deepEqual(queryFrom(filters), {
        limit: 25, offset: 50, sort: 'name', sortdir: 1, name: 'a b', state: 'open', everybody: true
    });
    assert.equal(addressFrom(filtersFrom({}, true)), '');
    const hostile = filtersFrom({ state: 'x', order: 'toString', page: '-1', everybody: '1', creatorId: '$ne' }, false);
    assert.equal(addressFrom(hostile), '');
});

test('a reference image is used for one channel, for all, or for none', () => {
    const two = { bounds: { c: [0, 2] }, spec: { channelNames: ['DAPI', 'GFP'], flatField: ['f', null], darkField: null } };
    assert.equal(roleOf(two, 'f'), 'flat 0');
    assert.equal(rolesOf(two)['flat 1'], 'flat field of GFP');
    assert.deepEqual(specWithRole(two, 'f', 'dark all'), { flatField: null, darkField: ['f', 'f'] });
    assert.equal(roleOf({ ...two, spec: { ...two.spec, flatField: null, darkField: ['f', 'f'] } }, 'f'), 'dark all');
    assert.deepEqual(specWithRole(two, 'g', 'flat 1'), { flatField: ['f', 'g'], darkField: null });
    assert.equal(roleOf({ ...two, spec: { flatField: ['f', null], darkField: ['f', null] } }, 'f'), 'several');
    assert.deepEqual(specWithRole(two, 'f', ''), { flatField: null, darkField: null });
});

test('a form changes what was changed in it', () => {
    const spec = {
        overlap: 'last', output: 'db', background: 0, keepPatches: true, lossy: false, quality: 90, ngffVersion: '0.5',
        pixelSize: { x: 2, y: 2, unit: 'picometer' }, registration: { maxShift: 32, subpixel: true }, illumination: { tiles: 7 },
        channelNames: null, expires: '2030-01-31T12:00:00Z'
    };
    const form = formOf(spec);
    assert.deepEqual(changesOf(spec, form), {});
    assert.deepEqual(changesOf(spec, { ...form, maxShift: '9', overlap: 'mean' }), {
        overlap: 'mean', registration: { maxShift: 9, subpixel: true }
    });
    assert.deepEqual(changesOf(spec, { ...form, illumination: false }), { illumination: null });
});

test('channels are chosen by name, planes by sliders', () => {
    const metadata = {
        bandCount: 1, dtype: 'uint8', IndexRange: { IndexC: 2, IndexZ: 3 }, IndexStride: { IndexC: 3, IndexZ: 1 },
        frames: Array.from({ length: 6 }, (_, at) => ({ Channel: at < 3 ? 'DAPI' : 'GFP', Color: at < 3 ? '#0000FF' : '#00FF00' }))
    };
    const channels = sessionChannels(metadata);
    assert.deepEqual(channels.map(({ name, color }) => [name, color]), [['DAPI', '0000FF'], ['GFP', '00FF00']]);
    const axes = slidersOf(metadata, channels);
    assert.deepEqual(axes.map(({ name }) => name), ['z']);
    const bounds = { c: [0, 2], z: [5, 8] };
    assert.ok(isOnPlane({ c: 1, z: 6 }, axes, { z: 1 }, channels, bounds));
    assert.ok(!isOnPlane({ c: 1, z: 5 }, axes, { z: 1 }, channels, bounds));
    const one = [channels[0], { ...channels[1], isActive: false }];
    assert.ok(!isOnPlane({ c: 1, z: 6 }, axes, { z: 1 }, one, bounds));
    assert.deepEqual(sessionChannels({ ...metadata, bandCount: 3 }), []);
    assert.deepEqual(slidersOf({ ...metadata, bandCount: 3 }, []).map(({ name }) => name), ['c', 'z']);
});

test('what is typed counts before what is chosen after it', () => {
    const filters = { ...filtersFrom({ order: 'name', page: '3' }, false), name: 'slide' };
    assert.equal(filtersAfter(filters, 'slide', { step: 1 }).page, 4);
    assert.equal(filtersAfter({ ...filters, page: 0 }, 'slide', { step: -1 }).page, 0);
    const { name, page } = filtersAfter(filters, 'slide 7', { step: 1 });
    assert.deepEqual([name, page], ['slide 7', 1]);
    const chosen = filtersAfter(filters, 'slide 7', { state: 'error' });
    assert.deepEqual([chosen.name, chosen.state, chosen.order, chosen.page], ['slide 7', 'error', 'name', 0]);
    assert.deepEqual(filtersAfter(filters, 'slide', {}), { ...filters, page: 0 });
});
