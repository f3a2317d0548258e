import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { LiveViewer } from '../lib/liveViewer.js';
import { coverageText, frameAt, frameAxes } from '../lib/preview.js';
import { shownFrames } from '../lib/pointerValues.js';
import { isOnPlane, sessionChannels, sessionStyle, slidersOf } from '../lib/sessionChannels.js';
import { uploadOf } from '../lib/uploads.js';
import { ChannelChoice } from './ChannelChoice.jsx';
import { Check } from './SpecForm.jsx';
import { Failure, Message } from './parts.jsx';
import { PatchList } from './PatchList.jsx';
import { PointerReadout } from './PointerReadout.jsx';
import { ViewButtons } from './ViewButtons.jsx';
import { usePlacesInAddress, useViewInAddress } from './mapHooks.js';

/** Up to so many patches are asked for without being told to, to hatch what none covers. */
const FEW_PATCHES = 2000;

/** Between two states of the image: milliseconds at least, and in parts of what one takes, with its tiles. */
const SHORTEST_PAUSE = 1000;
const PAUSES = 4;
/** The same while this page sends patches itself, which the server and this machine are to have time for. */
const SHORTEST_PAUSE_OF_UPLOAD = 2500;
const PAUSES_OF_UPLOAD = 9;
/** How old the list of patches may be then: with thousands of them it costs the server more than all else of a state. */
const OLDEST_LIST_OF_UPLOAD = 10000;

/** Patches of a list as places in pixels of the image. */
function placesOf(patches, origin) {
    return patches.map(({ key, position, shape, order }) => {
        const { x, y, ...index } = position;
        return { key, x: x - origin.x, y: y - origin.y, width: shape[1], height: shape[0], index, order, position };
    });
}

/**
 * The state of a session's image: metadata, coverage and patches of the newest revision.
 *
 * @param {{current: number}} looking milliseconds that the tiles of the last state have taken.
 */
function useImage(session, wantsPatches, looking) {
    const [image, setImage] = useState(null);
    const [failure, setFailure] = useState(null);
    const asking = useRef(false);
    const isRefused = failure !== null && failure.status === 401;
    const [again, askAgain] = useReducer((count) => count + 1, 0);
    const known = image && image.revision;
    const list = useRef({ patches: null, revision: null, asked: 0 });
    const hasPatches = image && image.patches !== null;
    const isWaiting = image !== null && image.metadata.stitchSession.waiting > 0;
    useEffect(() => {
        const upload = uploadOf(session._id);
        const isSending = upload !== null && upload.isActive;
        const { patches: listed, revision: listRevision, asked } = list.current;
        const wantsList = wantsPatches && (listed === null || (listRevision !== session.revision &&
            (!isSending || performance.now() - asked > OLDEST_LIST_OF_UPLOAD)));
        const isCurrent = known === session.revision && !wantsList && !isWaiting;
        // Who is not signed in is asked to; asking again has the same answer.
        if (!session.counts.patches || isCurrent || isRefused || asking.current) {
            return;
        }
        asking.current = true;
        const started = performance.now();
        const base = `stitch_session/${session._id}`;
        Promise.all([
            get(`${base}/tiles`, { partial: true }), get(`${base}/coverage`),
            wantsList ? get(`${base}/patch`, { limit: 0, fields: 'key,position,shape,order' }) : null
        ]).then(([metadata, coverage, patches]) => {
            const { origin, revision } = metadata.stitchSession;
            if (patches) {
                list.current = { patches, revision: session.revision, asked: started };
            }
            setImage({
                metadata, coverage, patches: wantsPatches ? placesOf(list.current.patches, origin) : null,
                // What came while this was asked for is asked for next.
                revision: Math.min(revision, session.revision)
            });
            return setFailure(null);
        }).catch(setFailure).finally(() => {
            // While patches pour in, looking at them takes no more than a part of what the server can do.
            const [shortest, times] = isSending
                ? [SHORTEST_PAUSE_OF_UPLOAD, PAUSES_OF_UPLOAD]
                : [SHORTEST_PAUSE, PAUSES];
            const pause = Math.max(shortest, times * (performance.now() - started + looking.current));
            window.setTimeout(() => {
                asking.current = false;
                askAgain();
            }, pause);
        });
    }, [session.revision, session.counts.patches, known, hasPatches, wantsPatches, again]);
    return [session.counts.patches ? image : null, failure];
}

/**
 * What has arrived of a session, in large_image's viewer, with its patches and holes.
 *
 * @param {Object} props
 * @param {Object} props.session
 * @param {boolean} props.canWrite
 */
function LiveImage({ session, canWrite }) {
    const element = useRef(null);
    const frame = useRef(null);
    const viewer = useRef(null);
    const looking = useRef(0);
    const [outlines, setOutlines] = useState(false);
    const [places, setPlaces] = usePlacesInAddress();
    const [selected, setSelected] = useState(null);
    const [map, setMap] = useState(null);
    const [image, failure] = useImage(session, outlines || session.counts.patches <= FEW_PATCHES, looking);
    const [choice, setChoice] = useState(null);
    const known = image ? sessionChannels(image.metadata) : [];
    const channels = choice && choice.length === known.length
        ? known.map((channel, at) => ({ ...channel, isActive: choice[at].isActive }))
        : known;
    const axes = image ? slidersOf(image.metadata, channels) : [];
    const style = image ? sessionStyle(image.metadata, channels) : undefined;

    useEffect(() => {
        viewer.current = new LiveViewer(element.current, session._id, {
            onMap: setMap, onClick: (place) => setSelected(place),
            onLoaded: (took) => {
                looking.current = took;
            }
        });
        return () => viewer.current.destroy();
    }, [session._id]);
    useEffect(() => {
        if (image) {
            viewer.current.show(image.metadata, places, style);
        }
    }, [image, places, choice]);
    const plane = useMemo(() => (image && image.patches
        ? image.patches.filter(({ index }) => isOnPlane(index, axes, places, channels, image.metadata.stitchSession.bounds))
        : []), [image, places, choice]);
    const hit = selected && outlines
        ? [...plane].reverse().find((place) => (selected.key === undefined
            ? selected.x >= place.x && selected.x < place.x + place.width &&
                selected.y >= place.y && selected.y < place.y + place.height
            : place.key === selected.key))
        : null;
    useEffect(() => {
        if (image) {
            viewer.current.overlay({
                image: { x: 0, y: 0, width: image.metadata.sizeX, height: image.metadata.sizeY },
                levels: image.metadata.levels, patches: plane, outlines,
                waiting: new Set(image.metadata.stitchSession.waitingKeys), selected: hit ? hit.key : null,
                // Where no channel is shown, nothing is said of what the patches cover.
                holes: image.patches !== null && (!channels.length || channels.some(({ isActive }) => isActive))
            });
        }
    }, [image, plane, outlines, hit]);
    const origin = image && image.metadata.stitchSession.origin;
    const writeView = useViewInAddress(map, origin || undefined);
    const problems = Object.values((image && image.metadata.stitchSession.problems) || {});
    const frames = image ? shownFrames(frameAt(axes, places), style).join(',') : '';
    return (
        <section class="g-zarr-live" aria-labelledby="g-zarr-live" ref={frame}>
            <h2 id="g-zarr-live">{session.state === 'complete' ? 'What was sent' : 'Image so far'}</h2>
            {failure && failure.status !== 404 ? <Failure failure={failure} /> : null}
            {session.state === 'complete'
                ? (
                    <p class="g-zarr-hint">
                        The patches as they were sent: corrections of positions and light are in the finished image.
                    </p>
                )
                : null}
            {problems.length
                ? (
                    <Message kind="warning">
                        Left out, because they cannot be read:
                        <ul class="g-stitch-preview-problems">{problems.map((text) => <li key={text}>{text}</li>)}</ul>
                    </Message>
                )
                : null}
            <div class="g-zarr-live-bar">
                <ChannelChoice channels={channels} onChange={setChoice} />
                {axes.map(({ name, count }) => (
                    <label key={name} class="g-stitch-preview-axis-label">
                        {name}{' '}
                        <input
                            class="g-stitch-preview-axis" type="range" min="0" max={count - 1} data-axis={name}
                            value={Math.min(places[name] || 0, count - 1)}
                            onInput={({ currentTarget }) => setPlaces({ ...places, [name]: Number(currentTarget.value) })}
                        />
                        {` ${Math.min(places[name] || 0, count - 1)} (0 to ${count - 1})`}
                    </label>
                ))}
                <Check label="Patches" name="outlines" checked={outlines} onInput={setOutlines} />
                <ViewButtons onCopy={writeView} screen={() => frame.current} />
                <span class="g-stitch-preview-coverage">{image ? coverageText(image.coverage, session, image.metadata.stitchSession.waiting) : ''}</span>
            </div>
            <div
                ref={element} class="g-stitch-preview-image" role="img"
                aria-label={`What has arrived of ${session.name}: ${session.counts.patches} patches`}
                data-revision={image ? image.revision : ''}
            >
                {session.counts.patches
                    ? null
                    : <p class="g-stitch-preview-empty" role="status">No patch has arrived yet. The first one appears here by itself.</p>}
            </div>
            {image
                ? (
                    <PointerReadout
                        map={map} size={image.metadata} origin={origin} about={`${image.revision} ${frames}`}
                        ask={({ x, y }) => get(`stitch_session/${session._id}/values`, { x, y, frames })}
                        nameOf={(number) => ((image.metadata.frames || [])[number] || {}).Channel || 'Value'}
                    />
                )
                : null}
            {outlines && image && image.patches
                ? (
                    <PatchList
                        session={session} patches={plane} patch={hit || null} canWrite={canWrite}
                        look={{ frame: frameAt(frameAxes(image.metadata), places), style }}
                        onSelect={(key) => setSelected(key === null ? null : { key })}
                    />
                )
                : null}
        </section>
    );
}

export { LiveImage };
