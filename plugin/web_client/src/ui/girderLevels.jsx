/** The way through collections, users and folders, for those who pick something in Girder. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { PAGE, foldersOf } from '../lib/girderFiles.js';
import { Icon } from './parts.jsx';

const { getCurrentUser } = girder.auth;

/**
 * @typedef {Object} Level where somebody is.
 * @property {'top'|'users'|'collection'|'user'|'folder'} type
 * @property {string} _id
 * @property {string} name
 */

/** @type {Level} */
const TOP = { type: 'top', _id: '', name: 'Girder' };
/** @type {Level} */
const USERS = { type: 'users', _id: 'users', name: 'Users' };
const ICONS = { user: 'user', users: 'user', collection: 'sitemap' };

const levelOf = ({ _id, name }) => ({ type: 'folder', _id, name });
const userOf = ({ _id, login }) => ({ type: 'user', _id, name: login });

/** The levels above a folder, and itself. @returns {Promise<Level[]>} */
async function levelsOf(folder) {
    const above = await get(`folder/${folder._id}/rootpath`);
    return [TOP, ...above.map(({ type, object }) => ({ type, _id: object._id, name: object.name || object.login })), folder];
}

async function allUsers(signal) {
    const found = [];
    for (;;) {
        const some = await get('user', { limit: PAGE, offset: found.length, sort: 'login', sortdir: 1 }, { signal });
        found.push(...some.map(userOf));
        if (some.length < PAGE) {
            return found;
        }
    }
}

/** What lies in a level, but for items. @returns {Promise<Level[]>} */
async function levelsIn({ type, _id }, withUsers, signal) {
    if (type === 'users') {
        return allUsers(signal);
    }
    if (type !== 'top') {
        return (await foldersOf(type, _id, signal)).map(levelOf);
    }
    const user = getCurrentUser();
    const collections = await get('collection', { limit: PAGE, sort: 'name', sortdir: 1 }, { signal });
    return [
        ...(withUsers ? [USERS] : user ? [userOf({ _id: user.id, login: user.get('login') })] : []),
        ...collections.map((one) => ({ type: 'collection', _id: one._id, name: one.name }))
    ];
}

/**
 * @param {Level} level
 * @param {function(Error): void} onFailure
 * @param {boolean} [withUsers] all of them, in place of oneself.
 * @returns {Level[]} what lies in it.
 */
function useLevelsIn(level, onFailure, withUsers = false) {
    const [inside, setInside] = useState([]);
    useEffect(() => {
        const controller = new AbortController();
        setInside([]);
        levelsIn(level, withUsers, controller.signal).then(setInside)
            .catch((error) => error.name === 'AbortError' || onFailure(error));
        return () => controller.abort();
    }, [level.type, level._id]);
    return inside;
}

/** Where the way to a level can be gone back. */
function Path({ levels, onGo }) {
    return (
        <nav class="g-zarr-picker-path" aria-label="Place in Girder">
            <ol>
                {levels.map((level, at) => (
                    <li key={`${level.type}${level._id}`}>
                        {at === levels.length - 1
                            ? <span aria-current="location">{level.name}</span>
                            : (
                                <button type="button" class="btn btn-link" onClick={() => onGo(levels.slice(0, at + 1))}>
                                    {level.name}
                                </button>
                            )}
                    </li>
                ))}
            </ol>
        </nav>
    );
}

/** The levels in another one, to be opened. */
function Inside({ levels, onGo }) {
    return levels.length
        ? (
            <ul class="g-zarr-picker-folders" aria-label="Folders">
                {levels.map((one) => (
                    <li key={one._id}>
                        <button type="button" class="btn btn-link" onClick={() => onGo(one)}>
                            <Icon name={ICONS[one.type] || 'folder'} />
                            {one.name}
                        </button>
                    </li>
                ))}
            </ul>
        )
        : null;
}

/**
 * A button that opens something below it, and has the focus again when that is closed.
 *
 * @param {Object} props
 * @param {string} props.label
 * @param {string} [props.hint] beside the button.
 * @param {function(function(): void): *} props.children what is opened, given what closes it.
 */
function Opener({ label, hint, children }) {
    const [isOpen, setOpen] = useState(false);
    const button = useRef(null);
    function close() {
        setOpen(false);
        button.current.focus();
    }
    return (
        <>
            <p class="g-zarr-picker-button">
                <button
                    ref={button} type="button" class="btn btn-default btn-sm" aria-expanded={isOpen}
                    onClick={() => setOpen(!isOpen)}
                >
                    {label}
                </button>
                {hint ? <span class="g-zarr-hint">{hint}</span> : null}
            </p>
            {isOpen ? children(close) : null}
        </>
    );
}

export { Inside, Opener, Path, TOP, levelOf, levelsOf, useLevelsIn };
