import { useRef } from 'preact/hooks';
import { Check, Select, Text } from './SpecForm.jsx';
import { Failure, Message } from './parts.jsx';

const KINDS = {
    own: 'The files\u2019 own positions', names: 'The names of the files', table: 'A file of positions',
    grid: 'A grid, in the order of the names'
};
const PATHS = {
    rows: 'row by row', snake: 'row by row, back and forth', columns: 'column by column',
    'snake-columns': 'column by column, up and down'
};
/** What the pages of a file are, where the file itself does not say it. */
const PAGES = { auto: 'as the files say', c: 'channels', z: 'planes along z', t: 'points in time' };
const CORNERS = {
    'top-left': 'top left', 'top-right': 'top right', 'bottom-left': 'bottom left', 'bottom-right': 'bottom right'
};
/** Programs whose names the server knows. */
const PRESETS = {
    '': 'the pattern above', cellvoyager: 'CellVoyager', fiji: 'Fiji', harmony: 'Harmony', incell: 'IN Cell Analyzer',
    metaxpress: 'MetaXpress', micromanager: 'Micro-Manager', mist: 'MIST'
};

/**
 * Where the places come from, and how numbers become places.
 *
 * @param {Object} props
 * @param {Object} props.plan as pages/NewSession has it.
 * @param {import('../lib/plan.js').Patch[]} props.patches what was found of the tiles.
 * @param {Object} props.positions what the server makes of them.
 */
function PlacesForm({ plan, patches, positions }) {
    const { source, setSource, arrangement, setArrangement, tiles, tables, useTable, useOwn, headers } = plan;
    const sayPlaces = [...headers.values()].some((header) => header && header.places);
    const table = useRef(null);
    const found = new Set(patches.filter(({ numbers }) => numbers).map(({ tile }) => tile.key));
    const { answer, failure } = positions;
    const placedBy = source.kind === 'table' ? 'position' : answer ? answer.placedBy : source.kind === 'grid' && 'path';
    const arrange = (fields) => setArrangement({ ...arrangement, ...fields });
    const whole = (name, label) => (
        <Text
            label={label} type="number" value={arrangement[name]} name={name}
            onInput={(text) => arrange({ [name]: Math.round(Number(text)) || 0 })}
        />
    );
    return (
        <section aria-labelledby="g-zarr-places">
            <h2 id="g-zarr-places">2. Positions</h2>
            <fieldset class="g-zarr-kinds">
                <legend>Positions come from</legend>
                {Object.entries(KINDS).filter(([kind]) => kind !== 'own' || sayPlaces).map(([kind, label]) => (
                    <label key={kind}>
                        <input
                            type="radio" name="kind" value={kind} checked={source.kind === kind}
                            onChange={() => (kind === 'own' ? useOwn() : setSource({ ...source, kind, pattern: source.pattern ?? '' }))}
                        />
                        {label}
                    </label>
                ))}
            </fieldset>
            {source.kind === 'own'
                ? <FromServer positions={positions} found={found} tiles={tiles} source={source} setSource={setSource} />
                : null}
            {source.kind === 'names'
                ? (
                    <>
                        <Text
                            label="Pattern of the names" name="pattern" value={source.pattern ?? (answer && answer.pattern) ?? ''}
                            error={failure && failure.message} spellcheck={false} autocomplete="off"
                            onInput={(pattern) => setSource({ ...source, pattern, preset: '' })}
                            hint="{x} and {y} are pixels, {row} and {col} count tiles, {field} numbers them; {z}, {c}, {t} are planes, channels, times, {channel} is a word, {well} such as B03; * is anything."
                        />
                        <Select
                            label="Names as of" value={source.preset} name="preset" options={PRESETS}
                            onInput={(preset) => setSource({ ...source, preset, pattern: null, well: null })}
                        />
                        <p class="g-zarr-matches" role="status">
                            {`${found.size} of ${tiles.length} names match`}
                            {answer && answer.example ? `: ${answer.example}.` : '.'}
                        </p>
                        <Wells answer={answer} source={source} setSource={setSource} />
                        <Notes answer={answer} />
                    </>
                )
                : null}
            {source.kind === 'table'
                ? (
                    <>
                        <p>
                            <button type="button" class="btn btn-default btn-sm" onClick={() => table.current.click()}>
                                Choose the file of positions
                            </button>
                            <input
                                ref={table} class="g-zarr-pick-table" type="file" hidden
                                onChange={({ currentTarget: { files: [file] } }) => file && useTable({ file, path: file.name })}
                            />
                            {' '}{source.table ? source.table.name : ''}
                        </p>
                        <p class="g-zarr-hint">
                            A table with file, x and y, or what a microscope or a stitching program has written.
                        </p>
                        <FromServer positions={positions} found={found} tiles={tiles} source={source} setSource={setSource} />
                        {tables.length > 1
                            ? (
                                <Select
                                    label="Which file" value={source.table ? source.table.name : ''}
                                    options={Object.fromEntries(tables.map(({ path }) => [path, path]))}
                                    onInput={(path) => useTable(tables.find((one) => one.path === path))}
                                />
                            )
                            : null}
                    </>
                )
                : null}
            {source.kind !== 'own' && [...headers.values()].some((header) => header && (header.pages || (header.hasPages && header.message)))
                ? (
                    <Select
                        label="The pages of a file are" name="pages" value={plan.along} options={PAGES}
                        onInput={plan.setAlong}
                    />
                )
                : null}
            {source.kind === 'grid' && failure ? <Failure failure={failure} /> : null}
            {placedBy === 'grid' || placedBy === 'path'
                ? (
                    <div class="g-zarr-fields">
                        {whole('overlapX', 'Overlap along x (pixels)')}
                        {whole('overlapY', 'Overlap along y (pixels)')}
                        {placedBy === 'path'
                            ? (
                                <>
                                    {whole('columns', 'Columns')}
                                    <Select
                                        label="Order" options={PATHS} value={arrangement.path} name="path"
                                        onInput={(path) => arrange({ path })}
                                    />
                                    <Select
                                        label="First tile" options={CORNERS} value={arrangement.corner} name="corner"
                                        onInput={(corner) => arrange({ corner })}
                                    />
                                </>
                            )
                            : null}
                    </div>
                )
                : null}
            <div class="g-zarr-checks">
                {[['flipX', 'Flip left and right'], ['flipY', 'Flip up and down'], ['swap', 'Swap x and y'],
                    ['fromZero', 'The smallest position becomes 0']].map(([name, label]) => (
                    <Check
                        key={name} label={label} name={name} checked={arrangement[name]}
                        onInput={(value) => arrange({ [name]: value })}
                    />
                ))}
            </div>
        </section>
    );
}

/** What the server makes of the file of positions, or of the tags of the files. */
function FromServer({ positions: { answer, failure, isAsking }, found, tiles, source, setSource }) {
    if (failure) {
        return <Failure failure={failure} />;
    }
    if (!answer) {
        return isAsking ? <p role="status">The positions are read…</p> : null;
    }
    return (
        <>
            <p class="g-zarr-matches" role="status">
                {`${found.size} of ${tiles.length} images have a position, by ${answer.program}.`}
            </p>
            <Wells answer={answer} source={source} setSource={setSource} />
            <Notes answer={answer} />
        </>
    );
}

/** Which well of a plate the image is of. */
function Wells({ answer, source, setSource }) {
    return answer && answer.wells.length > 1
        ? (
            <Select
                label="Well" value={source.well || ''} onInput={(well) => setSource({ ...source, well })}
                options={Object.fromEntries(answer.wells.map((well) => [well, well]))}
            />
        )
        : null;
}

/** What the server says of the positions. */
function Notes({ answer }) {
    return answer && answer.notes.length
        ? <Message kind="warning"><ul>{answer.notes.map((note) => <li key={note}>{note}</li>)}</ul></Message>
        : null;
}

export { PlacesForm };
