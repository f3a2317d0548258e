/** The order of tile sources, and the setting zarr.source_priorities that makes it; nothing here needs a page. */

const OFF = 'off';
const DEFAULT = 'default';

/**
 * @typedef {Object} Choice a source and its place for files of one extension.
 * @property {string} name
 * @property {?number} value its priority in force; null where it is off.
 * @property {boolean} isOff
 * @property {boolean} isChanged whether the setting says something of it.
 * @property {boolean} isInstalled
 */

/** The extension of a file's name as Girder takes it, or 'default' where it has none. */
function extensionOf(name) {
    const match = /\.([^./\\\s]+)$/.exec(name.trim());
    return match ? match[1].toLowerCase() : DEFAULT;
}

/** All extensions that sources list, sorted. */
function extensionsOf(sources) {
    const all = sources.flatMap(({ extensions }) => extensions.map(({ extension }) => extension));
    return [...new Set(all)].filter((extension) => extension !== DEFAULT).sort();
}

/**
 * The sources that are asked for files of an extension, in the order in which they are, those that are off at the end.
 *
 * @param {Object[]} sources as `GET zarr/source` has them.
 * @param {string} extension
 * @returns {Choice[]}
 */
function choicesFor(sources, extension) {
    return sources.map((source) => {
        const row = source.extensions.find((one) => one.extension === extension) ||
            source.extensions.find((one) => one.extension === DEFAULT);
        if (!row) {
            return null;
        }
        const value = source.off || !row.effective ? null : row.effective.value;
        return {
            name: source.name, value, isOff: value === null,
            isChanged: row.extension === extension && Boolean(row.override), isInstalled: source.installed
        };
    }).filter((choice) => choice && choice.isInstalled).sort((one, other) =>
        (one.value ?? Infinity) - (other.value ?? Infinity) || (one.name < other.name ? -1 : 1));
}

/**
 * The setting with which sources are asked in an order. Of two with the same priority the name decides, so that as few
 * as possible get another one.
 *
 * @param {Object} setting as it is now.
 * @param {string} extension
 * @param {Choice[]} order as it shall be.
 * @param {{name: string, value: number}[]} priorities all there are.
 * @returns {?Object} null where there are too few priorities for this order.
 */
function settingWithOrder(setting, extension, order, priorities) {
    const levels = [...priorities].sort((one, other) => one.value - other.value);
    const asked = order.filter(({ isOff }) => !isOff);
    const values = keeping(asked, levels) || fromTheFirst(asked, levels);
    if (!values) {
        return null;
    }
    return withChoices(setting, extension, asked.map((choice, at) => [
        choice.name, values[at].value === choice.value ? undefined : values[at].name
    ]));
}

/** Levels for an order that keep what sources have where that is possible; null where the last ones find none. */
function keeping(asked, levels) {
    return placed(asked, levels, ({ value }) => value);
}

function fromTheFirst(asked, levels) {
    return placed(asked, levels, () => levels[0].value);
}

function placed(asked, levels, wished) {
    const found = [];
    for (const choice of asked) {
        const before = found[found.length - 1];
        const level = levels.find(({ value }) => value >= wished(choice) && (!before || value > before.value ||
            (value === before.value && choice.name > asked[found.length - 1].name)));
        if (!level) {
            return null;
        }
        found.push(level);
    }
    return found;
}

/** The setting with a source on or off for an extension; `priority` is a name, 'off', or null for its own. */
function settingWith(setting, extension, name, priority) {
    return withChoices(setting, extension, [[name, priority]]);
}

/** @param {[string, (string|null|undefined)][]} choices null takes what is said away, undefined leaves it. */
function withChoices(setting, extension, choices) {
    const next = { ...setting };
    choices.forEach(([name, priority]) => {
        const before = next[name];
        if (priority === undefined || (before === OFF && priority !== null)) {
            return;
        }
        const others = without(typeof before === 'object' && before !== null ? before : {}, extension);
        const after = priority === null ? others : { ...others, [extension]: priority };
        if (Object.keys(after).length) {
            next[name] = after;
        } else {
            delete next[name];
        }
    });
    return next;
}

/** An object without one of its fields. */
function without(object, name) {
    return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
}

/** The 24 digits of an item's id, also out of the address of its page; null if there are none. */
function itemIdFrom(text) {
    const found = /(?:^|[^0-9a-f])([0-9a-f]{24})(?:$|[^0-9a-f])/i.exec(text.trim());
    return found ? found[1].toLowerCase() : null;
}

export { DEFAULT, choicesFor, extensionOf, extensionsOf, itemIdFrom, settingWith, settingWithOrder, without };
