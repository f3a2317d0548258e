/**
 * Places of patches in the names of their files.
 *
 * A pattern is a name with placeholders: `{x}` and `{y}` are pixels, `{row}` and `{col}` count tiles, `{n}` counts them
 * along a path through a grid, `{z}`, `{c}` and `{t}` are planes, channels and times; other names in braces are axes of
 * these names. `*` stands for anything but a slash. A pattern without a slash is held against the name alone, and one
 * without a suffix fits any.
 */

const AXES_OF_PLANES = ['t', 'c', 'z'];
const PLACES = [['x', 'y'], ['row', 'col'], ['n']];
const NUMBER = '[+-]?[0-9]+';
/** Digits after a point, where they are not the beginning of a suffix. */
const FRACTION = '(?:\\.[0-9]+(?![A-Za-z]))?';
const ALSO = { column: 'col' };

/** What the letters before a number say that it is. */
const WORDS = {
    x: 'x', xpos: 'x', posx: 'x', left: 'x', y: 'y', ypos: 'y', posy: 'y', top: 'y',
    r: 'row', row: 'row', col: 'col', column: 'col',
    z: 'z', plane: 'z', slice: 'z', p: 'z', sl: 'z',
    c: 'c', ch: 'c', channel: 'c', w: 'c', wavelength: 'c',
    t: 't', time: 't', timepoint: 't', frame: 't',
    tile: 'n', s: 'n', f: 'n', field: 'n', pos: 'n', position: 'n', site: 'n', i: 'n', img: 'n', image: 'n', m: 'n'
};

/**
 * @param {string} pattern
 * @returns {{expression: RegExp, names: string[], isDeep: boolean}}
 * @throws {Error} with a sentence: the pattern is malformed.
 */
function compile(pattern) {
    const names = [];
    const parts = pattern.split(/(\{[^{}]*\}|\*)/).map((part) => {
        if (part === '*') {
            return '[^/]*';
        }
        if (!part.startsWith('{')) {
            return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
        }
        const name = ALSO[part.slice(1, -1)] || part.slice(1, -1);
        if (!/^[a-z][a-z_]{0,30}$/.test(name) || names.includes(name)) {
            throw new Error(`Expected names such as {x}, each once, found ${part}.`);
        }
        names.push(name);
        return `(?<${name}>${NUMBER}${name === 'x' || name === 'y' ? FRACTION : ''})`;
    });
    if (!PLACES.some((place) => place.every((name) => names.includes(name)))) {
        throw new Error('Expected {x} and {y}, {row} and {col}, or {n}; found none of them.');
    }
    const suffix = /\.[^{}/]*$/.test(pattern) ? '' : '(?:\\.[A-Za-z0-9.]{1,12})?';
    return { expression: new RegExp(`^${parts.join('')}${suffix}$`), names, isDeep: pattern.includes('/') };
}

/**
 * What the names say.
 *
 * @param {string[]} paths
 * @param {string} pattern
 * @returns {(?Object<string, number>)[]} for each path the numbers by placeholder, or null where it does not match.
 * @throws {Error} the pattern is malformed.
 */
function readNames(paths, pattern) {
    const { expression, isDeep } = compile(pattern);
    return paths.map((path) => {
        const match = expression.exec(isDeep ? path : path.split('/').pop());
        return match && Object.fromEntries(Object.entries(match.groups).map(([name, text]) => [name, Number(text)]));
    });
}

/**
 * A pattern for names: numbers that differ become placeholders, named by the letters before them.
 *
 * @param {string[]} paths
 * @returns {string} empty where the names say nothing.
 */
function guessPattern(paths) {
    const names = paths.map((path) => path.split('/').pop());
    const groups = new Map();
    names.forEach((name) => {
        const form = name.replace(/[0-9]+/g, '#');
        groups.set(form, [...(groups.get(form) || []), name]);
    });
    const largest = [...groups.values()].sort((one, other) => other.length - one.length)[0] || [];
    if (!largest.length) {
        return '';
    }
    const pieces = largest.map((name) => name.split(/([0-9]+)/));
    const first = pieces[0];
    const numbers = first.map((_, at) => at).filter((at) => at % 2 === 1).map((at) => ({
        at,
        word: (/([A-Za-z]+)[-_ =.]*-?$/.exec(first[at - 1]) || ['', ''])[1].toLowerCase(),
        values: pieces.map((piece) => Number(piece[at]))
    }));
    const isVarying = ({ values }) => values.some((value) => value !== values[0]);
    const called = named(numbers.filter(isVarying));
    withPartners(called, numbers);
    return first.map((text, at) => {
        const name = called.get(at);
        return name ? `{${name}}` : text;
    }).map((text, at, all) => {
        // A minus before a coordinate is a part of the number.
        const next = all[at + 1];
        return (next === '{x}' || next === '{y}') && /[^0-9]-$/.test(` ${text}`) && pieces.some((piece) =>
            !piece[at].endsWith('-'))
            ? text.slice(0, -1)
            : text;
    }).join('');
}

/** Which placeholder each varying number is: a map from its place to the name. */
function named(numbers) {
    const words = numbers.map(({ word }) => WORDS[word]);
    const found = new Map();
    const taken = new Set();
    const take = ({ at }, name) => {
        if (!taken.has(name)) {
            taken.add(name);
            found.set(at, name);
        }
    };
    const hasRow = words.includes('row');
    numbers.forEach((number, index) => {
        let name = words[index];
        if (hasRow && name === 'c' && !words.includes('col')) {
            name = 'col';
        }
        if (name && name !== 'n') {
            take(number, name);
        }
    });
    // x and y that count 0, 1, 2 are columns and rows of tiles.
    const [x, y] = ['x', 'y'].map((name) => numbers.find(({ at }) => found.get(at) === name));
    if (x && y && [x, y].every(({ values }) => isCount(values))) {
        found.set(x.at, 'col');
        found.set(y.at, 'row');
    }
    const rest = numbers.filter(({ at }) => !found.has(at));
    const isPlaced = [...found.values()].some((name) => ['x', 'y', 'row', 'col'].includes(name));
    if (!isPlaced && rest.length >= 2) {
        take(rest[0], 'row');
        take(rest[1], 'col');
    } else if (!isPlaced && rest.length === 1) {
        take(rest[0], 'n');
    }
    numbers.filter(({ at }) => !found.has(at)).forEach((number) => {
        AXES_OF_PLANES.filter((axis) => !taken.has(axis)).slice(-1).forEach((axis) => take(number, axis));
    });
    return found;
}

/** One row of tiles has one y: the number that is the same in all names is needed as well. */
function withPartners(found, numbers) {
    const partners = { x: 'y', y: 'x', row: 'col', col: 'row' };
    const taken = new Set(found.values());
    numbers.filter(({ at }) => !found.has(at)).forEach(({ at, word }) => {
        const said = WORDS[word] === 'c' && taken.has('row') ? 'col' : WORDS[word];
        // Where x counts columns, y counts rows.
        const name = { x: taken.has('row') ? 'col' : 'x', y: taken.has('col') ? 'row' : 'y' }[said] || said;
        if (partners[name] && !taken.has(name) && (taken.has(partners[name]) || numbers.length === 2)) {
            taken.add(name);
            found.set(at, name);
        }
    });
}

/** Whether numbers count up without a gap, as those of tiles do. */
function isCount(values) {
    const all = [...new Set(values)].sort((one, other) => one - other);
    return all[0] <= 1 && all[all.length - 1] - all[0] === all.length - 1;
}

export { compile, guessPattern, readNames };
