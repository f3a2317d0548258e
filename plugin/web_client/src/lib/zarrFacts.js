/** What the panel "OME-Zarr" says of an image, out of the source's own metadata; nothing here needs a page. */
import { unitText } from './units.js';

/**
 * @param {Object} found the part `zarr` of `GET item/:id/tiles/internal_metadata`.
 * @returns {[string, string][]} label and text.
 */
function factsOf(found) {
    const { multiscale, levels, version, kind, labels } = found;
    const [first] = levels || [];
    const axes = (multiscale && multiscale.axes) || [];
    return [
        ['Version', version && `OME-NGFF ${version}${first ? `, zarr v${first.zarr_format}` : ''}`],
        ['Kind', kind],
        ['Name', multiscale && multiscale.name],
        ['Axes', axes.map(({ name, unit }) => (unit ? `${name} (${unit})` : name)).join(', ')],
        ['Size', first && axes.map(({ name }, at) => `${name} ${first.shape[at]}`).join(', ')],
        ['Pixels', first && first.dtype],
        ['Pixel size', pixelSizeOf(multiscale)],
        ['Channels', channelsOf(multiscale)],
        ['Images', imagesOf(found)],
        ['Labels', (labels || []).map((label) => (typeof label === 'string' ? label : label.name || label.path)).join(', ')]
    ].filter(([, text]) => text);
}

/** How many images there are, where there are several; the last one of a plate is its overview. */
function imagesOf({ kind, seriesCount, chosen }) {
    if (chosen || !(seriesCount > 1)) {
        return chosen || '';
    }
    return kind === 'plate' || kind === 'well' ? `${seriesCount - 1} fields` : `${seriesCount}, shown together`;
}

function pixelSizeOf(multiscale) {
    if (!multiscale || !multiscale.levels || !multiscale.levels.length) {
        return '';
    }
    const { scale } = multiscale.levels[0];
    const space = multiscale.axes.map((axis, at) => ({ ...axis, size: scale && scale[at] }))
        .filter(({ type, size }) => type === 'space' && size);
    const text = space.map(({ name, unit, size }) => (
        `${name} ${Number(size.toPrecision(6))}${unit ? ` ${unitText(unit)}` : ''}`)).join(', ');
    return space.some(({ unit }) => unit) ? text : text && `${text}, without a unit`;
}

function channelsOf(multiscale) {
    return ((multiscale && multiscale.channels) || []).map(({ label }) => label).filter(Boolean).join(', ');
}

/** A row for each level: {path, shape, chunks, codecs}. */
function levelsOf(found) {
    return (found.levels || []).map((level) => ({
        path: level.path,
        shape: level.shape.join(' × '),
        chunks: level.shards
            ? `${level.chunks.join(' × ')} in shards of ${level.shards.join(' × ')}`
            : level.chunks.join(' × '),
        codecs: (level.codecs || []).map(codecName).join(', ') || 'none'
    }));
}

/** A codec with the compressor inside where it has one: `blosc (zstd)`. */
function codecName({ name, id, configuration, cname }) {
    const inner = cname || (configuration && (configuration.cname || (configuration.codecs || []).map(codecName).join(', ')));
    return inner ? `${name || id} (${inner})` : name || id;
}

/**
 * How the file is got and opened outside of Girder.
 *
 * @param {{api: string, itemId: string, fileId: string, name: string, level: string}} where `level`: the path of an array
 *     in the file, such as that of a field of a plate; empty where the file is one array.
 * @returns {{title: string, text: string}[]}
 */
function snippetsOf({ api, itemId, fileId, name, level }) {
    const store = /\.zip$|\.ozx$/i.test(name) ? `zarr.storage.ZipStore(${quoted(name)}, mode='r')` : quoted(name);
    const isDatabase = /\.db$|\.sqlite$/i.test(name);
    // zarr has no store for SQLite.
    const opening = isDatabase
        ? ['import girder_zarr.image', `image = girder_zarr.image.open(${quoted(name)})`, 'print(image.getMetadata())']
        : level
            ? ['import zarr', `group = zarr.open_group(${store}, mode='r')`, `print(group[${quoted(level)}].shape)`]
            : ['import zarr', `array = zarr.open_array(${store}, mode='r')`, 'print(array.shape)'];
    const [library, ...lines] = opening;
    return [
        { title: 'Address of the tiles', text: `${api}/item/${itemId}/tiles` },
        {
            title: 'curl',
            text: `curl -H "Girder-Token: $TOKEN" -o ${shellQuoted(name)} ${api}/file/${fileId}/download`
        },
        {
            title: 'Python',
            text: [
                'import girder_client', library, '', `client = girder_client.GirderClient(apiUrl=${quoted(api)})`,
                'client.authenticate(interactive=True)', `client.downloadFile(${quoted(fileId)}, ${quoted(name)})`, ...lines
            ].join('\n')
        }
    ];
}

const quoted = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`;
const shellQuoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;

export { factsOf, levelsOf, snippetsOf };
