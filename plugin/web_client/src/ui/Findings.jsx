import { Facts, Message } from './parts.jsx';

const { formatSize } = girder.misc;
const FEW = 5;

function listed(keys) {
    return keys.slice(0, FEW).join(', ') + (keys.length > FEW ? ` and ${keys.length - FEW} more` : '');
}

/** What the map shows, in words: the size of the result, overlaps and gaps, and what looks wrong. */
function Findings({ findings, kinds, headers, places, tiles }) {
    const { box, planes, overlap, empty, duplicates, strays } = findings;
    const keys = new Set(places.map(({ key }) => key));
    const bytes = tiles.reduce((sum, { key, file }) => sum + (keys.has(key) ? file.size : 0), 0);
    const unread = tiles.filter(({ key }) => headers.has(key) && !headers.get(key)).map(({ key }) => key);
    const paged = [...headers].filter(([, header]) => header && header.hasPages).map(([key]) => key);
    const isNegative = box && (box.x < 0 || box.y < 0);
    return (
        <div class="g-zarr-findings">
            <Facts
                facts={[
                    ['Patches', `${places.length} of ${tiles.length} images, ${formatSize(bytes)}`],
                    ['Result', box && `${box.width} × ${box.height} pixels${planes > 1 ? `, ${planes} planes` : ''}` +
                        (isNegative ? `, from ${box.x}, ${box.y}` : '')],
                    ['Overlap', overlap ? `${overlap.width} × ${overlap.height} pixels` : places.length > 1 ? 'none' : null],
                    ['Empty', places.length ? `${Math.round(empty * 1000) / 10} %` : null],
                    ['Pixels', kinds.map(([name, number]) => (kinds.length > 1 ? `${number} × ${name}` : name)).join('; ')]
                ]}
            />
            {duplicates.length
                ? <Message kind="warning">{`Lie exactly where another patch lies: ${listed(duplicates)}.`}</Message>
                : null}
            {strays.length
                ? <Message kind="warning">{`Touch no other patch: ${listed(strays)}.`}</Message>
                : null}
            {kinds.length > 1
                ? <Message kind="warning">The files have different pixels; the server takes one kind in a session.</Message>
                : null}
            {paged.length
                ? <Message kind="warning">{`Have more than one page, which the server refuses: ${listed(paged)}.`}</Message>
                : null}
            {unread.length
                ? (
                    <Message kind="warning">
                        {`Their size cannot be read here and is taken to be that of the others: ${listed(unread)}.`}
                    </Message>
                )
                : null}
        </div>
    );
}

export { Findings };
