/** What is added to an item's page. */
import { useState } from 'preact/hooks';
import { Explanation } from '../ui/Explanation.jsx';
import { shown } from '../ui/render.js';

function Item({ itemId, largeImage, isAdmin }) {
    const [isOpen, setOpen] = useState(false);
    if (!isAdmin || !largeImage) {
        return null;
    }
    // Which source opens an item is the administrators' business; they find it here, closed at first.
    return (
        <details class="g-zarr-item-source g-info-list-entry" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
            <summary>Tile source: who opens this item, and why</summary>
            {isOpen ? <Explanation itemId={itemId} /> : null}
        </details>
    );
}

const showItem = shown(Item);

export { showItem };
