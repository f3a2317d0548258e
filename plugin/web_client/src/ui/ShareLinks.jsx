import { useEffect, useRef, useState } from 'preact/hooks';
import { get, request } from '../lib/api.js';
import { LASTS, hasEnded, requestOf, usesText } from '../lib/share.js';
import { OpenIn } from './OpenIn.jsx';
import { Snippet } from './Snippet.jsx';
import { Select, Text } from './SpecForm.jsx';
import { Failure, confirmed } from './parts.jsx';

const { DATE_MINUTE, formatDate } = girder.misc;
const EMPTY = { label: '', lasts: '', day: '' };

function LinkRow({ link, onRevoke }) {
    const name = link.label || `${link.hint}…`;
    return (
        <li>
            <b>{name}</b>
            {` since ${formatDate(link.created, DATE_MINUTE)}, ${usesText(link)}`}
            {link.lastUsed ? `, last ${formatDate(link.lastUsed, DATE_MINUTE)}` : ''}
            {link.expires ? `, ${hasEnded(link) ? 'ended' : 'ends'} ${formatDate(link.expires, DATE_MINUTE)}` : ''}{' '}
            <button type="button" class="btn btn-default btn-xs" aria-label={`Revoke ${name}`} onClick={() => onRevoke(link, name)}>
                Revoke
            </button>
        </li>
    );
}

/** The address of a link that was just made, and what opens it. */
function Made({ link }) {
    return (
        <div class="g-zarr-share-made" role="status">
            <p>Whoever has this address reads what it names, and cannot change it. The address is shown only now.</p>
            {link.folderId
                ? (
                    <>
                        <Snippet title="Address" text={link.url} />
                        <p class="g-zarr-hint">
                            An image in the folder has this address with its name and a slash behind it.
                        </p>
                    </>
                )
                : <OpenIn url={link.url} isItem={Boolean(link.itemId)} />}
        </div>
    );
}

/**
 * Share links to an item, a folder or a session: made, opened, listed, revoked.
 *
 * @param {Object} props
 * @param {{itemId: string}|{folderId: string}|{sessionId: string}} props.target
 */
function ShareLinks({ target }) {
    const [links, setLinks] = useState([]);
    const [form, setForm] = useState(EMPTY);
    const [made, setMade] = useState(null);
    const [failure, setFailure] = useState(null);
    const list = useRef(null);
    const load = () => get('zarr_link', target).then(setLinks).catch(setFailure);
    useEffect(() => {
        load();
    }, [JSON.stringify(target)]);
    const set = (name) => (value) => setForm({ ...form, [name]: value });
    async function change(what) {
        setFailure(null);
        try {
            await what();
            await load();
        } catch (error) {
            setFailure(error);
        }
    }
    function make(event) {
        event.preventDefault();
        return change(async () => {
            setMade((await request('POST', 'zarr_link', { json: requestOf(target, form) })).data);
            setForm(EMPTY);
        });
    }
    async function revoke(link, name) {
        if (await confirmed(`Revoke the link ${name}? Who uses it reads nothing any more.`, 'Revoke')) {
            await change(() => request('DELETE', `zarr_link/${link._id}`, { body: undefined }));
            setMade((shown) => (shown && shown._id === link._id ? null : shown));
            // The button that had the focus is gone.
            list.current.focus();
        }
    }
    return (
        <div class="g-zarr-share">
            <form class="g-zarr-fields" onSubmit={make} novalidate aria-label="New link">
                <Text label="For whom" value={form.label} maxlength="200" onInput={set('label')} />
                <Select label="Holds" options={LASTS} value={form.lasts} onInput={set('lasts')} />
                {form.lasts === 'day' ? <Text label="Last day" type="date" value={form.day} onInput={set('day')} /> : null}
                <p class="g-zarr-buttons"><button type="submit" class="btn btn-primary btn-sm">Make a link</button></p>
            </form>
            <Failure failure={failure} />
            {made ? <Made key={made._id} link={made} /> : null}
            <ul class="g-zarr-links" ref={list} tabindex="-1" aria-label="Links">
                {links.map((link) => <LinkRow key={link._id} link={link} onRevoke={revoke} />)}
            </ul>
        </div>
    );
}

export { ShareLinks };
