import { useState } from 'preact/hooks';

/** A part of a page whose content is made when somebody opens it. */
function Folded({ summary, className = '', children }) {
    const [isOpen, setOpen] = useState(false);
    return (
        <details class={`g-zarr-folded ${className}`} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
            <summary>{summary}</summary>
            {isOpen ? children() : null}
        </details>
    );
}

export { Folded };
