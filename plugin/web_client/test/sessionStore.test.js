import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionStore, merged, sinceOf } from '../src/lib/sessionStore.js';

const moment = (second) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const session = (id, second = 0, fields = {}) => ({
    _id: id, folderId: 'f', state: 'open', created: moment(0), updated: moment(second), ...fields
});

/** A store with a server whose answers tests give, and a clock that goes only with `pass`. */
function made() {
    const world = { asked: [], answers: [], timers: [], now: 0, timer: null };
    const store = new SessionStore({
        request: async (method, path, { query, headers }) => {
            world.asked.push({ path, query, tag: headers['If-None-Match'] });
            const answer = await world.answers.shift();
            if (answer instanceof Error) {
                throw answer;
            }
            const { data = null, total = 0, tag = `"${world.asked.length}"` } = answer;
            return {
                status: data ? 200 : 304, data,
                headers: { get: (name) => (name === 'ETag' ? tag : String(total)) }
            };
        },
        now: () => world.now,
        later: (call, wait) => {
            world.timer = { call, at: world.now + wait };
            world.timers.push(wait);
            return world.timer;
        },
        never: (timer) => {
            if (timer === world.timer) {
                world.timer = null;
            }
        },
        isHidden: () => false
    });
    return { store, world };
}

/** Let time pass, with what is due until then. */
async function pass(world, milliseconds) {
    const until = world.now + milliseconds;
    while (world.timer && world.timer.at <= until) {
        const { call, at } = world.timer;
        Object.assign(world, { now: at, timer: null });
        await call();
    }
    world.now = until;
}

test('a list is asked for whole once, and then for what has changed', async () => {
    const { store, world } = made();
    const seen = [];
    store.watch({ folderId: 'f' }, (state) => seen.push(state));
    world.answers.push({ data: [session('a', 10), session('b', 20)], total: 2 });
    await store.ask();
    world.answers.push({ data: [session('a', 30, { state: 'complete' })], total: 2 });
    await store.ask();
    assert.equal(world.asked[0].query.since, undefined);
    assert.equal(world.asked[1].query.since, moment(15));
    const last = seen[seen.length - 1];
    assert.deepEqual(last.sessions.map(({ _id, state }) => [_id, state]), [['a', 'complete'], ['b', 'open']]);
    assert.deepEqual(last.completed.map(({ _id }) => _id), ['a']);
});

test('while nothing changes the answer is a 304 and the pauses grow', async () => {
    const { store, world } = made();
    store.watch({ folderId: 'f' }, () => {});
    world.answers.push({ data: [session('a')], total: 1 }, { data: [session('a')], total: 1, tag: '"same"' });
    await store.ask();
    await store.ask();
    for (let time = 0; time < 5; time += 1) {
        world.answers.push({});
        await store.ask();
        assert.equal(world.asked[world.asked.length - 1].tag, '"same"');
    }
    assert.deepEqual(world.timers.slice(1), [2000, 2000, 3000, 4500, 6750, 8000, 8000]);
});

test('one that is gone leads to the whole list', async () => {
    const { store, world } = made();
    let seen;
    store.watch({ folderId: 'f' }, (state) => {
        seen = state;
    });
    world.answers.push({ data: [session('a'), session('b')], total: 2 }, { data: [], total: 1 },
        { data: [session('b')], total: 1 });
    await store.ask();
    await store.ask();
    assert.equal(world.asked.length, 3);
    assert.deepEqual(seen.sessions.map(({ _id }) => _id), ['b']);
});

test('a failure is shown beside what is known, and one of login ends the asking', async () => {
    const { store, world } = made();
    let seen;
    store.watch({ id: 'a' }, (state) => {
        seen = state;
    });
    world.answers.push({ data: session('a') }, Object.assign(new Error('out'), { status: 401 }));
    await store.ask();
    const timers = world.timers.length;
    await store.ask();
    assert.equal(seen.failure.status, 401);
    assert.equal(seen.sessions.length, 1);
    assert.equal(world.timers.length, timers);
    store.changed();
    world.answers.push({});
    await store.ask();
    assert.equal(seen.failure, null);
});

test('a list that is looked at while another is asked for is not put off', async () => {
    const { store, world } = made();
    let answered;
    store.watch({ folderId: 'f' }, () => {});
    world.answers.push(new Promise((resolve) => {
        answered = resolve;
    }));
    const asking = store.ask();
    // The answer comes before the question for the next page goes out.
    const next = { folderId: 'f', offset: 25 };
    store.watch(next, () => {});
    answered({ data: [session('a', 0, { state: 'complete' })], total: 30 });
    await asking;
    world.answers.push({}, { data: [session('b')], total: 30 });
    await pass(world, 0);
    assert.deepEqual(world.asked.map(({ query }) => query.offset), [undefined, undefined, 25]);
});

test('what comes while the question is out is asked for as soon as it is answered', async () => {
    const { store, world } = made();
    let answered;
    store.watch({ folderId: 'f' }, () => {});
    world.answers.push(new Promise((resolve) => {
        answered = resolve;
    }));
    const asking = store.ask();
    store.watch({ folderId: 'f', offset: 25 }, () => {});
    await pass(world, 0);
    assert.equal(world.asked.length, 1);
    answered({ data: [session('a')], total: 30 });
    await asking;
    world.answers.push({}, { data: [session('b')], total: 30 });
    await pass(world, 0);
    assert.equal(world.asked.length, 3);
});

test('events that follow each other closely do not put the question off', async () => {
    const { store, world } = made();
    store.watch({ folderId: 'f' }, () => {});
    world.answers.push({ data: [session('a')], total: 1 });
    await store.ask();
    world.answers.push({ data: [session('a', 9)], total: 1 }, { data: [session('a', 10)], total: 1 });
    for (let time = 0; time < 4; time += 1) {
        store.noticed({ _id: 'a', folderId: 'f' });
        await pass(world, 100);
    }
    assert.equal(world.asked.length, 3);
});

test('events count for those who look at the session', async () => {
    const { store, world } = made();
    store.watch({ folderId: 'f' }, () => {});
    world.answers.push({ data: [session('a')], total: 1 });
    await store.ask();
    const before = world.timers.length;
    store.noticed({ _id: 'x', folderId: 'other' });
    assert.equal(world.timers.length, before);
    store.noticed({ _id: 'x', folderId: 'f' });
    assert.equal(world.timers.length, before + 1);
});

test('changed sessions take their places', () => {
    const all = merged([session('a'), session('b')], [{ ...session('c'), created: moment(5) }, session('b', 9)]);
    assert.deepEqual(all.map(({ _id, updated }) => [_id, updated]),
        [['c', moment(0)], ['a', moment(0)], ['b', moment(9)]]);
    assert.equal(sinceOf([session('a', 30)]), moment(25));
});
