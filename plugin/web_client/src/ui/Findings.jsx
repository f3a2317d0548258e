import { Facts, Message } from './parts.jsx';

const { formatSize } = girder.misc;
const FEW = 5;

function listed(keys) {
    return keys.slice(0, FEW).join(', ') + (keys.length > FEW ? ` and ${keys.length - FEW} more` : '');
}

/** How many patches there are, and of how many of the files. */
function counted(patches, files, all) {
    return patches === files ? `${patches} of ${all} images` : `${patches}, in ${files} of ${all} images`;
}

/** What the map shows, in words: the size of the result, overlaps and gaps, and what looks wrong. */
function Findings({ findings, kinds, headers, places, patches, tiles }) {
    const { box, planes, overlap, empty, duplicates, strays } = findings;
    const keys = new Set(places.map(({ key }) => key));
    const used = new Set(patches.filter(({ key }) => keys.has(key)).map(({ tile }) => tile));
    const bytes = [...used].reduce((sum, { file }) => sum + file.size, 0);
    const unread = tiles.filter(({ key }) => headers.has(key) && !headers.get(key)).map(({ key }) => key);
    const placed = new Set(patches.filter(({ numbers, page }) => numbers && page !== undefined).map(({ tile }) => tile.key));
    const refused = tiles.filter(({ key }) => (headers.get(key) || {}).message && !placed.has(key));
    const stacks = [...used].filter(({ key }) => (headers.get(key) || {}).pages);
    const isNegative = box && (box.x < 0 || box.y < 0);
    return (
        <div class="g-zarr-findings">
            <Facts
                facts={[
                    ['Patches', `${counted(places.length, used.size, tiles.length)}, ${formatSize(bytes)}`],
                    ['Pages', stacks.length ? `of ${stacks.length === 1 ? 'one file' : `${stacks.length} files`}; each is a patch` : null],
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
            {refused.length
                ? (
                    <Message kind="warning">
                        {`Cannot be patches: ${refused.length}.`}
                        <ul>
                            {refused.slice(0, FEW).map(({ key, path }) => <li key={key}>{`${path}: ${headers.get(key).message}`}</li>)}
                            {refused.length > FEW ? <li>{`and ${refused.length - FEW} more`}</li> : null}
                        </ul>
                    </Message>
                )
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
