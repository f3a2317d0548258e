import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { ORDERS, STATES } from '../lib/sessionFilters.js';
import { Check, Select, Text } from './SpecForm.jsx';

/** Milliseconds that typing rests before the server is asked. */
const REST = 300;
const ALL = { '': 'all', ...Object.fromEntries(STATES.map((state) => [state, state])) };
const users = new Map();

/** The login of a user, asked for once. */
function useLogin(id) {
    const [login, setLogin] = useState('');
    useEffect(() => {
        let isGone = false;
        if (id && !users.has(id)) {
            users.set(id, get(`user/${id}`).then((user) => user.login).catch(() => null));
        }
        Promise.resolve(id ? users.get(id) : '').then((found) => isGone || setLogin(found));
        return () => {
            isGone = true;
        };
    }, [id]);
    return login;
}

/** Who has created a session. */
function Creator({ id, onChoose }) {
    const login = useLogin(id);
    if (login === null) {
        return <span>a user who is gone</span>;
    }
    return login
        ? (
            <button type="button" class="btn btn-default btn-xs g-zarr-creator" title={`Only those of ${login}`} onClick={() => onChoose(id)}>
                {login}
            </button>
        )
        : null;
}

/**
 * Which sessions are shown, and in which order.
 *
 * @param {Object} props
 * @param {Object} props.filters as lib/sessionFilters has them.
 * @param {string} props.name what is typed, which becomes a filter when that rests.
 * @param {function(string): void} props.onName
 * @param {function(Object): void} props.onChange gets what has changed.
 * @param {boolean} props.isAdmin
 */
function SessionFilters({ filters, name, onName, onChange, isAdmin }) {
    const login = useLogin(filters.creatorId);
    useEffect(() => {
        if (name === filters.name) {
            return undefined;
        }
        const timer = window.setTimeout(() => onChange({}), REST);
        return () => window.clearTimeout(timer);
    }, [name, filters.name]);
    return (
        <div class="g-zarr-filters" role="search" aria-label="Sessions">
            <Text label="Name holds" type="search" maxlength="200" value={name} onInput={onName} />
            <Select label="State" options={ALL} value={filters.state} onInput={(state) => onChange({ state })} />
            <Select label="Order" options={ORDERS} value={filters.order} onInput={(order) => onChange({ order })} />
            {isAdmin
                ? (
                    <Check
                        label="Those of everybody" name="everybody" checked={filters.everybody}
                        onInput={(everybody) => onChange({ everybody, creatorId: '' })}
                    />
                )
                : null}
            {filters.creatorId
                ? (
                    <button type="button" class="btn btn-default btn-sm" onClick={() => onChange({ creatorId: '' })}>
                        {`Only of ${login || 'a user who is gone'}: show all`}
                    </button>
                )
                : null}
        </div>
    );
}

export { Creator, SessionFilters };
