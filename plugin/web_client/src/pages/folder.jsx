/** The stitch sessions on a folder's page. */
import { DropZone } from '../ui/DropZone.jsx';
import { SessionList } from '../ui/SessionList.jsx';
import { useSessions } from '../ui/hooks.js';
import { Icon } from '../ui/parts.jsx';
import { shown } from '../ui/render.js';
import { handOver } from '../lib/handover.js';

const { router } = girder;

function FolderSessions({ folderId, canWrite, onCompleted }) {
    // The list below asks for the same, so that this costs nothing.
    const { sessions } = useSessions({ folderId, limit: 50 });
    if (!canWrite && !sessions.length) {
        return null;
    }
    const address = `folder/${folderId}/stitch`;
    const begin = (files) => {
        handOver(files);
        router.navigate(address, { trigger: true });
    };
    return (
        <section class="g-stitch-sessions" aria-labelledby="g-stitch-sessions-heading">
            <div class="g-stitch-sessions-head">
                <h2 id="g-stitch-sessions-heading" class="g-stitch-sessions-heading">
                    <Icon name="picture" /> Stitch sessions
                </h2>
                {canWrite
                    ? (
                        <span class="g-stitch-session-links">
                            <a class="g-stitch-sessions-mine" href="#stitch_sessions">My sessions</a>
                            <a class="btn btn-default btn-xs g-stitch-sessions-new" href={`#${address}`}>New session</a>
                        </span>
                    )
                    : null}
            </div>
            <SessionList query={{ folderId }} canWrite={canWrite} onCompleted={onCompleted} />
            {canWrite
                ? (
                    <DropZone compact onFiles={begin}>
                        <span>Drop tiles here, or a folder of them, to make one image of them.</span>
                    </DropZone>
                )
                : null}
        </section>
    );
}

const showSessions = shown(FolderSessions);

export { showSessions };
