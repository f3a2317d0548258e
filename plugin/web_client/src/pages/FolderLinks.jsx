import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { ShareLinks } from '../ui/ShareLinks.jsx';
import { useTitle } from '../ui/hooks.js';
import { Failure, Icon } from '../ui/parts.jsx';

/** The share links of a folder. */
function FolderLinks({ folderId }) {
    const [folder, setFolder] = useState(null);
    const [failure, setFailure] = useState(null);
    useEffect(() => {
        get(`folder/${folderId}`).then(setFolder).catch(setFailure);
    }, [folderId]);
    useTitle(folder ? `Share ${folder.name}` : 'Share');
    if (!folder) {
        return <div class="g-zarr-page"><Failure failure={failure} /></div>;
    }
    return (
        <div class="g-zarr-page">
            <p class="g-zarr-back"><a href={`#folder/${folderId}`}><Icon name="folder" />{folder.name}</a></p>
            <h1>{`Share ${folder.name}`}</h1>
            <p>A link leads to every image in this folder and below it that you may read, as OME-Zarr.</p>
            <ShareLinks target={{ folderId }} />
        </div>
    );
}

export { FolderLinks };
