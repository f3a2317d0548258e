/** The order of tile sources, and the setting zarr.source_priorities that makes it; nothing here needs a page. */

const OFF = 'off';
const DEFAULT = 'default';

/**
 * @typedef {Object} Choice a source and its place for files of one extension or MIME type.
 * @property {string} name
 * @property {?number} value its priority in force; null where it is off.
 * @property {number} most the largest value that it can get: for every file a source is asked no later than for any file.
 * @property {boolean} isFallback whether it does not list that; those that do are asked before it.
 * @property {boolean} isOff
 * @property {boolean} isChanged whether the setting says something of it.
 */

/** From this priority on a source is not asked. */
const MANUAL = 12;

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

/** All MIME types that sources list, sorted. */
function mimeTypesOf(sources) {
    return [...new Set(sources.flatMap(({ mimeTypes }) => mimeTypes.map(({ mimeType }) => mimeType)))].sort();
}

/** A MIME type as the setting has it, or null where it is none. */
function mimeTypeFrom(text) {
    const found = text.trim().toLowerCase();
    return /^[a-z0-9][a-z0-9!#&^_.+-]*\/[a-z0-9][a-z0-9!#&^_.+-]*$/.test(found) ? found : null;
}

/** What a source says of a key of the setting: a MIME type, which has a slash, or an extension. */
function rowOf(source, key) {
    return key.includes('/')
        ? source.mimeTypes.find(({ mimeType }) => mimeType === key)
        : source.extensions.find(({ extension }) => extension === key);
}

/**
 * The sources that are asked for files of an extension, or of a MIME type and an extension that no source lists, in the
 * order in which they are, those that are off at the end.
 *
 * @param {Object[]} sources as `GET zarr/source` has them.
 * @param {string} key an extension or a MIME type.
 * @returns {Choice[]}
 */
function choicesFor(sources, key) {
    return sources.filter(({ installed }) => installed).map((source) => {
        const [own, any] = [rowOf(source, key), rowOf(source, DEFAULT)];
        if (!own && !any) {
            return null;
        }
        const valueOf = (one) => (one && one.effective && !source.off ? one.effective.value : Infinity);
        // Who is off for this key is still asked as one of those that are asked for any file.
        const isListed = valueOf(own) < MANUAL;
        const most = key === DEFAULT ? Infinity : valueOf(any);
        const value = Math.min(valueOf(own), valueOf(any));
        const isOff = value >= MANUAL;
        return {
            name: source.name, value: isOff ? null : value, most, isOff, isFallback: !isListed,
            isChanged: Boolean(own && own.override)
        };
    }).filter(Boolean).sort((one, other) => one.isOff - other.isOff || one.isFallback - other.isFallback ||
        one.value - other.value || (one.name < other.name ? -1 : 1));
}

/**
 * The setting with which sources are asked in an order. Of two with the same priority the name decides, so that as few
 * as possible get another one.
 *
 * @param {Object} setting as it is now.
 * @param {string} key an extension or a MIME type.
 * @param {Choice[]} order as it shall be.
 * @param {{name: string, value: number}[]} priorities all there are.
 * @returns {?Object} null where there are too few priorities for this order.
 */
function settingWithOrder(setting, key, order, priorities) {
    const levels = priorities.filter(({ value }) => value < MANUAL).sort((one, other) => one.value - other.value);
    const asked = order.filter(({ isOff }) => !isOff);
    const found = placed(asked, levels);
    if (!found) {
        return null;
    }
    // Who does not list the key is asked after those that do, unless the setting names it for this one.
    const last = asked.reduce((most, { isFallback }, at) => (isFallback ? most : at), -1);
    return withChoices(setting, key, asked.map((choice, at) => {
        const isNamed = choice.isFallback && at < last;
        return [choice.name, found[at].value === choice.value && !isNamed ? undefined : found[at].name];
    }));
}

/** A level for each source of an order, near to what it has; null where there are too few. */
function placed(asked, levels) {
    // Two of one level stand in the order of their names.
    const mayShare = (at) => asked[at].name < asked[at + 1].name;
    const step = levels.map(({ value }) => value);
    const most = [];
    for (let at = asked.length - 1; at >= 0; at -= 1) {
        const allowed = step.filter((value) => value <= asked[at].most && (at === asked.length - 1 ||
            value < most[at + 1] || (value === most[at + 1] && mayShare(at))));
        most[at] = allowed.length ? allowed[allowed.length - 1] : -1;
    }
    const found = [];
    for (let at = 0; at < asked.length; at += 1) {
        const before = found[at - 1];
        const allowed = step.filter((value) => value <= most[at] && (at === 0 ||
            value > before || (value === before && mayShare(at - 1))));
        if (!allowed.length) {
            return null;
        }
        const near = allowed.filter((value) => value <= asked[at].value);
        found.push(near.length ? near[near.length - 1] : allowed[0]);
    }
    return found.map((value) => levels.find((level) => level.value === value));
}

/** The setting with a source on or off for all files. What was said of a source that is off is not known any more. */
function settingWithout(setting, name) {
    return { ...setting, [name]: OFF };
}

/** The setting without anything about an extension or a MIME type; what is off for all files stays off. */
function settingWithoutKey(setting, key) {
    return withChoices(setting, key, Object.keys(setting).map((name) => [name, null]).filter(([name]) => setting[name] !== OFF));
}

/** @param {[string, (string|null|undefined)][]} choices null takes what is said away, undefined leaves it. */
function withChoices(setting, key, choices) {
    const next = { ...setting };
    choices.forEach(([name, priority]) => {
        const before = next[name];
        if (priority === undefined || (before === OFF && priority !== null)) {
            return;
        }
        const others = without(typeof before === 'object' && before !== null ? before : {}, key);
        const after = priority === null ? others : { ...others, [key]: priority };
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

/** The 24 digits of an item's id, also out of the address of its page; null for other texts, such as names. */
function itemIdFrom(text) {
    const found = /^(?:\S*[#/]item\/)?([0-9a-f]{24})(?:[?&/]\S*)?$/i.exec(text.trim());
    return found ? found[1].toLowerCase() : null;
}

/**
 * A folder, collection or user by its id (of a folder) or the address of its page.
 *
 * @returns {?Object<string, string>} the parameter of `POST zarr/source_run`; null for other texts.
 */
function placeFrom(text) {
    const found = /^(?:\S*[#/](folder|collection|user)\/)?([0-9a-f]{24})(?:\/folder\/([0-9a-f]{24}))?(?:[?&]\S*)?$/i
        .exec(text.trim());
    if (!found) {
        return null;
    }
    const [, kind, id, folder] = found;
    return folder ? { folderId: folder.toLowerCase() } : { [`${(kind || 'folder').toLowerCase()}Id`]: id.toLowerCase() };
}

export {
    DEFAULT, choicesFor, extensionOf, extensionsOf, itemIdFrom, mimeTypeFrom, mimeTypesOf, placeFrom, settingWithOrder,
    settingWithout, settingWithoutKey, without
};
