import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import { isInGirder } from '../lib/fileKinds.js';
import { planeName, planesOf } from '../lib/layout.js';
import { PatchMap } from './PatchMap.jsx';
import { Select } from './SpecForm.jsx';
import { VirtualList } from './VirtualList.jsx';

/** What the browser can show of a file by itself. */
const SHOWABLE = /\.(png|jpe?g|webp)$/i;

/** A picture of one tile. */
function Picture({ tile }) {
    const isThere = isInGirder(tile.file);
    const address = useMemo(() => (isThere ? tile.file.address : URL.createObjectURL(tile.file)), [tile.file]);
    useEffect(() => () => isThere || URL.revokeObjectURL(address), [address]);
    return <img class="g-zarr-picture" src={address} alt={`Patch ${tile.key}`} />;
}

/** Map and list of the patches that would be sent; what is selected can be moved and removed. */
function PlanMap({ plan, places, findings, patches }) {
    const { moved, setMoved, removed, setRemoved } = plan;
    const [selected, setSelected] = useState(new Set());
    const planes = useMemo(() => planesOf(places), [places]);
    const [planeAsked, setPlane] = useState('');
    const names = [...planes.keys()];
    const plane = planes.has(planeAsked) ? planeAsked : names[0];
    const shown = planes.get(plane) || [];
    const flags = useMemo(() => new Map([
        ...findings.strays.map((key) => [key, 'stray']), ...findings.duplicates.map((key) => [key, 'duplicate'])
    ]), [findings]);
    const statusOf = useCallback((key) => flags.get(key) || 'waiting', [flags]);
    const byKey = useMemo(() => new Map(places.map((place) => [place.key, place])), [places]);
    const rows = useMemo(() => patches.map(({ key, numbers }) => (
        { key, place: byKey.get(key), isKnown: Boolean(numbers) })), [patches, byKey]);
    const chosen = [...selected].filter((key) => byKey.has(key));
    const one = chosen.length === 1 ? byKey.get(chosen[0]) : null;
    const { tile } = (selected.size === 1 && patches.find(({ key }) => selected.has(key))) || {};

    function move(x, y) {
        const next = new Map(moved);
        chosen.forEach((key) => {
            const before = next.get(key) || { x: 0, y: 0 };
            next.set(key, { x: before.x + x, y: before.y + y });
        });
        setMoved(next);
    }
    function select(keys) {
        setSelected(keys);
        const [key] = keys;
        const place = keys.size === 1 && byKey.get(key);
        if (place) {
            setPlane(planeName(place.index));
        }
    }
    return (
        <div class="g-zarr-plan">
            <div class="g-zarr-plan-map">
                {names.length > 1
                    ? (
                        <Select
                            label="Plane" value={plane} onInput={setPlane}
                            options={Object.fromEntries(names.map((name) => [name, name]))}
                        />
                    )
                    : null}
                {places.length
                    ? <PatchMap places={shown} statusOf={statusOf} selected={selected} onSelect={select} onMove={move} />
                    : <p class="g-zarr-hint">Nothing is on the map: no patch has a position yet, or all are removed.</p>}
            </div>
            <div class="g-zarr-plan-side">
                <VirtualList rows={rows} label="Patches" selected={selected} onSelect={select}>
                    {({ key, place, isKnown }) => (
                        <>
                            <span class="g-zarr-list-name">{key}</span>
                            <span class="g-zarr-list-place">
                                {place ? `${place.x}, ${place.y} px` : isKnown ? 'removed' : 'no position'}
                            </span>
                        </>
                    )}
                </VirtualList>
                <div class="g-zarr-selection" role="group" aria-label="What is selected">
                    {one
                        ? ['x', 'y'].map((axis) => (
                            <label key={axis}>
                                {axis}{' (px) '}
                                <input
                                    class="form-control input-sm" type="number" value={one[axis]}
                                    aria-label={`${axis} of ${one.key}`}
                                    onChange={({ currentTarget: { value } }) => {
                                        const by = Math.round(Number(value)) - one[axis];
                                        move(axis === 'x' ? by : 0, axis === 'y' ? by : 0);
                                    }}
                                />
                            </label>
                        ))
                        : <span>{chosen.length ? `${chosen.length} selected` : 'Select patches in the map or the list.'}</span>}
                    <button
                        type="button" class="btn btn-default btn-xs" disabled={!chosen.length}
                        onClick={() => setRemoved(new Set([...removed, ...chosen]))}
                    >
                        Remove
                    </button>
                    {removed.size || moved.size
                        ? (
                            <button
                                type="button" class="btn btn-default btn-xs" onClick={() => {
                                    setRemoved(new Set());
                                    setMoved(new Map());
                                }}
                            >
                                Undo all
                            </button>
                        )
                        : null}
                </div>
                {tile && SHOWABLE.test(tile.path) ? <Picture tile={tile} /> : null}
            </div>
        </div>
    );
}

export { PlanMap };
