/** What reference images are used as: the spec names flat and dark fields channel by channel, patches their masks. */

const LISTS = { flat: 'flatField', dark: 'darkField' };

/** How many channels a session has, as far as it is known. */
function channelCount({ bounds, spec }) {
    const last = bounds && bounds.c ? bounds.c[1] : 1;
    const listed = ['channelNames', 'flatField', 'darkField'].map((name) => (spec[name] || []).length);
    return Math.max(1, last, ...listed);
}

function channelName(spec, channel) {
    return (spec.channelNames || [])[channel] || `channel ${channel}`;
}

/**
 * What a reference image can be used as: {role: words}.
 *
 * @param {Object} session
 * @returns {Object<string, string>}
 */
function rolesOf(session) {
    const count = channelCount(session);
    const roles = { '': 'mask, where a patch names it' };
    Object.keys(LISTS).forEach((kind) => {
        if (count > 1) {
            roles[`${kind} all`] = `${kind} field of all channels`;
        }
        for (let channel = 0; channel < count; channel += 1) {
            roles[`${kind} ${channel}`] = count > 1 ? `${kind} field of ${channelName(session.spec, channel)}` : `${kind} field`;
        }
    });
    return roles;
}

/** What a reference image is used as; 'several' where no one role says it. */
function roleOf(session, key) {
    const count = channelCount(session);
    const uses = Object.entries(LISTS).flatMap(([kind, list]) => (
        (session.spec[list] || []).map((name, channel) => (name === key ? `${kind} ${channel}` : null)).filter(Boolean)));
    if (uses.length <= 1) {
        return uses[0] || '';
    }
    const [kind] = uses[0].split(' ');
    const isAll = uses.length === count && uses.every((use) => use.startsWith(`${kind} `));
    return isAll ? `${kind} all` : 'several';
}

/**
 * The spec's lists with a reference image in another role.
 *
 * @param {Object} session
 * @param {string} key
 * @param {string} role of `rolesOf`.
 * @returns {{flatField: ?(?string)[], darkField: ?(?string)[]}}
 */
function specWithRole(session, key, role) {
    const count = channelCount(session);
    const [wanted, channel] = role.split(' ');
    return Object.fromEntries(Object.entries(LISTS).map(([kind, list]) => {
        const keys = Array.from({ length: count }, (_, at) => {
            const before = (session.spec[list] || [])[at] || null;
            const isHere = kind === wanted && (channel === 'all' || Number(channel) === at);
            return isHere ? key : before === key ? null : before;
        });
        return [list, keys.some(Boolean) ? keys : null];
    }));
}

export { roleOf, rolesOf, specWithRole };
