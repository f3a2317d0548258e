import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { PatchCard } from './PatchCard.jsx';
import { Text } from './SpecForm.jsx';
import { VirtualList } from './VirtualList.jsx';

/**
 * The patches of the plane that is looked at, found by key, and what is known of one.
 *
 * @param {Object} props
 * @param {Object} props.session
 * @param {Object[]} props.patches
 * @param {?Object} props.patch the one that is selected.
 * @param {function(?string): void} props.onSelect gets its key.
 * @param {{frame: number, style: ?Object}} props.look what the viewer shows.
 * @param {boolean} props.canWrite
 */
function PatchList({ session, patches, patch, onSelect, look, canWrite }) {
    const [text, setText] = useState('');
    const inside = useRef(null);
    const rows = useMemo(() => {
        const wanted = text.trim().toLowerCase();
        return wanted ? patches.filter(({ key }) => key.toLowerCase().includes(wanted)) : patches;
    }, [patches, text]);
    const selected = useMemo(() => new Set(patch ? [patch.key] : []), [patch && patch.key]);
    const focusList = () => inside.current && inside.current.querySelector('.g-zarr-list').focus();
    // A patch that is gone, or whose plane is not looked at any more, is closed.
    useEffect(() => {
        if (!patch) {
            onSelect(null);
        }
    }, [Boolean(patch)]);
    return (
        <div class="g-zarr-patches" ref={inside}>
            <div class="g-zarr-patches-list">
                <Text label="Find a patch by its key" type="search" value={text} onInput={setText} />
                <VirtualList
                    rows={rows} label={`${rows.length} patches`} selected={selected}
                    onSelect={(keys) => onSelect([...keys].pop() || null)}
                >
                    {({ key, position }) => (
                        <>
                            <span class="g-zarr-list-name">{key}</span>
                            <span class="g-zarr-list-place">{`${position.x}, ${position.y} px`}</span>
                        </>
                    )}
                </VirtualList>
            </div>
            {patch
                ? (
                    <PatchCard
                        key={patch.key} session={session} patch={patch} look={look} canWrite={canWrite}
                        onClose={() => {
                            onSelect(null);
                            focusList();
                        }}
                    />
                )
                : <p class="g-zarr-hint">Choose a patch in the image or in the list to see it.</p>}
        </div>
    );
}

export { PatchList };
