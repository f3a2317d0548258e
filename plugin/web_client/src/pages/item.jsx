/** What is added to an item's page. */
import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { Explanation } from '../ui/Explanation.jsx';
import { ShareLinks } from '../ui/ShareLinks.jsx';
import { ZarrPanel } from '../ui/ZarrPanel.jsx';
import { Message } from '../ui/parts.jsx';
import { shown } from '../ui/render.js';

/** Names of files that ought to be images of ours. */
const ZARR = /\.(ozx|zarr|zarr\.zip|zarr\.db|zarr\.sqlite)$/i;

/** A part of the page that is loaded when somebody opens it. */
function Folded({ summary, className, children }) {
    const [isOpen, setOpen] = useState(false);
    return (
        <details
            class={`g-info-list-entry g-zarr-folded ${className}`} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}
        >
            <summary>{summary}</summary>
            {isOpen ? children() : null}
        </details>
    );
}

/** Why a file that is called like an OME-Zarr image cannot be seen as one. */
function Unreadable({ itemId }) {
    const [answer, setAnswer] = useState(null);
    useEffect(() => {
        get(`zarr/item/${itemId}/source`).then(setAnswer).catch(() => setAnswer(null));
    }, [itemId]);
    if (!answer || answer.wouldChoose) {
        return null;
    }
    const asked = answer.sources.filter(({ canRead, reason }) => canRead === false && reason);
    const ours = asked.find(({ source }) => source === 'zarr');
    return (
        <Message kind="warning">
            <b>This file cannot be shown as an image.</b> {ours ? ours.reason : 'No tile source reads it.'}
            {asked.length > 1 ? ` ${asked.length} sources were asked.` : ''}
        </Message>
    );
}

function Item({ itemId, name, largeImage, isSignedIn, isAdmin }) {
    if (!largeImage) {
        return ZARR.test(name) ? <Unreadable itemId={itemId} /> : null;
    }
    return (
        <>
            {largeImage.sourceName === 'zarr'
                ? (
                    <Folded summary="OME-Zarr: what the file holds" className="g-zarr-item-zarr">
                        {() => <ZarrPanel itemId={itemId} fileId={largeImage.fileId || largeImage.originalId} />}
                    </Folded>
                )
                : null}
            {isSignedIn
                ? (
                    <Folded summary="Share: an address by which others read it" className="g-zarr-item-share">
                        {() => <ShareLinks target={{ itemId }} />}
                    </Folded>
                )
                : null}
            {isAdmin
                ? (
                    <Folded summary="Tile source: who opens this item, and why" className="g-zarr-item-source">
                        {() => <Explanation itemId={itemId} />}
                    </Folded>
                )
                : null}
        </>
    );
}

const showItem = shown(Item);

export { showItem };
