import { useEffect, useRef, useState } from 'preact/hooks';
import { Inside, Opener, Path, TOP, useLevelsIn } from './girderLevels.jsx';
import { Failure } from './parts.jsx';

const CHOSEN = ['collection', 'user', 'folder'];

/** Collections, users and folders, to be walked through until one is chosen. */
function Places({ onPlace, onClose }) {
    const [levels, setLevels] = useState([TOP]);
    const [failure, setFailure] = useState(null);
    const element = useRef(null);
    const level = levels[levels.length - 1];
    const inside = useLevelsIn(level, setFailure, true);
    useEffect(() => element.current.focus(), []);
    function go(next) {
        setFailure(null);
        setLevels(next);
        // What was pressed is gone.
        element.current.focus();
    }
    const canBeChosen = CHOSEN.includes(level.type);
    return (
        <section class="g-zarr-picker" aria-label="Places in Girder" tabindex="-1" ref={element}>
            <Path levels={levels} onGo={go} />
            <Failure failure={failure} />
            <Inside levels={inside} onGo={(one) => go([...levels, one])} />
            <p class="g-zarr-buttons">
                <button
                    type="button" class={`btn btn-sm ${canBeChosen ? 'btn-primary' : 'btn-default'}`} disabled={!canBeChosen}
                    onClick={() => onPlace({ ...level, path: levels.slice(1).map(({ name }) => name).join(' / ') })}
                >
                    {canBeChosen ? `Choose the ${level.type} ${level.name}` : 'Choose a collection, a user or a folder'}
                </button>
                <button type="button" class="btn btn-default btn-sm" onClick={onClose}>Close</button>
            </p>
        </section>
    );
}

/**
 * Pick a collection, a user or a folder.
 *
 * @param {Object} props
 * @param {function({type: string, _id: string, name: string, path: string}): void} props.onPlace
 */
function PlacePicker({ onPlace }) {
    return (
        <Opener label="Choose in Girder">
            {(close) => (
                <Places
                    onClose={close} onPlace={(place) => {
                        onPlace(place);
                        close();
                    }}
                />
            )}
        </Opener>
    );
}

export { PlacePicker };
