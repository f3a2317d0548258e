/** What is added to an item's page, and the links of a folder. */
import '../ui/pageStyles.js';
import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { Explanation } from '../ui/Explanation.jsx';
import { Folded } from '../ui/Folded.jsx';
import { ImageChooser } from '../ui/ImageChooser.jsx';
import { ImageControls } from '../ui/ImageControls.jsx';
import { ImageTools } from '../ui/ImageTools.jsx';
import { MadeBy } from '../ui/MadeBy.jsx';
import { ShareLinks } from '../ui/ShareLinks.jsx';
import { ZarrPanel } from '../ui/ZarrPanel.jsx';
import { Message } from '../ui/parts.jsx';
import { shown } from '../ui/render.js';
import { FolderLinks } from './FolderLinks.jsx';

/** Names of files that ought to be images of ours. */
const ZARR = /\.(ozx|zarr|zarr\.zip|zarr\.db|zarr\.sqlite)$/i;

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
            <MadeBy itemId={itemId} />
            {largeImage.sourceName === 'zarr'
                ? (
                    <Folded summary="OME-Zarr: what the file holds" className="g-info-list-entry g-zarr-item-zarr">
                        {() => <ZarrPanel itemId={itemId} fileId={largeImage.fileId || largeImage.originalId} />}
                    </Folded>
                )
                : null}
            {isSignedIn
                ? (
                    <Folded summary="Open in other programs, and share" className="g-info-list-entry g-zarr-item-share">
                        {() => <ShareLinks target={{ itemId }} />}
                    </Folded>
                )
                : null}
            {isAdmin
                ? (
                    <Folded summary="Tile source: who opens this item, and why" className="g-info-list-entry g-zarr-item-source">
                        {() => <Explanation itemId={itemId} />}
                    </Folded>
                )
                : null}
        </>
    );
}

const showItem = shown(Item);
const showFolderLinks = shown(FolderLinks);
const showImageChooser = shown(ImageChooser);
const showImageControls = shown(ImageControls);
const showImageTools = shown(ImageTools);

export { showFolderLinks, showImageChooser, showImageControls, showImageTools, showItem };
