/** The form of a session's spec; nothing here needs a page. */

const UNITS = ['micrometer', 'nanometer', 'millimeter', 'meter'];
const OVERLAPS = {
    last: 'the patch that comes last', first: 'the patch that comes first', feather: 'blend from one into the other',
    mean: 'the mean', max: 'the largest value', min: 'the smallest value'
};
const OUTPUTS = { 'zarr.zip': 'OME-Zarr, zipped', ozx: 'OME-Zarr, .ozx', db: 'OME-Zarr in SQLite', tiff: 'TIFF' };

/** What the form holds at first: texts, as in its fields. */
const DEFAULTS = {
    overlap: 'last', output: 'zarr.zip', pixelX: '', pixelY: '', unit: 'micrometer', background: '0', registration: false,
    illumination: false, maxShift: '32', channelNames: '', lossy: false, quality: '90', keepPatches: true, ngffVersion: '0.5', expires: ''
};

/** Which field of the form a field of the spec stands in. */
const FIELD_OF = {
    'pixelSize.x': 'pixelX', 'pixelSize.y': 'pixelY', 'pixelSize.unit': 'unit', pixelSize: 'pixelX',
    'registration.maxShift': 'maxShift'
};

/**
 * The spec that a form stands for. What cannot be read as a number goes as it is: the server says what is wrong with it.
 *
 * @param {Object} form as DEFAULTS.
 * @param {?number} expected how many patches there will be.
 */
function specFrom(form, expected) {
    const spec = {
        overlap: form.overlap, output: form.output, background: numberOr(form.background), keepPatches: form.keepPatches,
        lossy: form.lossy, ngffVersion: form.ngffVersion
    };
    const [pixelX, pixelY] = [form.pixelX.trim(), form.pixelY.trim() || form.pixelX.trim()];
    spec.pixelSize = pixelX || pixelY ? { x: numberOr(pixelX), y: numberOr(pixelY), unit: form.unit } : null;
    spec.registration = form.registration ? { maxShift: numberOr(form.maxShift) } : null;
    spec.illumination = form.illumination ? {} : null;
    const names = form.channelNames.split(',').map((name) => name.trim()).filter(Boolean);
    spec.channelNames = names.length ? names : null;
    if (form.lossy) {
        spec.quality = numberOr(form.quality);
    }
    if (expected !== null) {
        spec.expected = expected;
    }
    spec.expires = form.expires.trim() ? numberOr(form.expires) : null;
    return spec;
}

/** The form of a session's spec. */
function formOf(spec) {
    const { pixelSize, registration, illumination } = spec;
    return {
        ...DEFAULTS, overlap: spec.overlap, output: spec.output, background: String(spec.background),
        keepPatches: spec.keepPatches, lossy: spec.lossy, quality: String(spec.quality), ngffVersion: spec.ngffVersion,
        pixelX: pixelSize ? String(pixelSize.x) : '', pixelY: pixelSize ? String(pixelSize.y) : '',
        unit: pixelSize ? pixelSize.unit : DEFAULTS.unit, registration: Boolean(registration),
        illumination: Boolean(illumination),
        maxShift: String(registration ? registration.maxShift : DEFAULTS.maxShift),
        channelNames: (spec.channelNames || []).join(', '),
        expires: spec.expires === null || spec.expires === undefined ? '' : String(spec.expires)
    };
}

/**
 * What a changed form changes of a spec: all that the form has no field for stays as it is.
 *
 * @param {Object} spec of a session.
 * @param {Object} form
 */
function changesOf(spec, form) {
    const before = specFrom(formOf(spec), null);
    const wanted = Object.entries(specFrom(form, null))
        .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
    return Object.fromEntries(wanted.map(([name, value]) => (
        // A form knows one number of registration; the others stay.
        [name, name === 'registration' && value && spec.registration ? { ...spec.registration, ...value } : value])));
}

function numberOr(text) {
    const found = Number(text);
    return text.trim() !== '' && Number.isFinite(found) ? found : text;
}

/**
 * Where a refusal belongs in the form: the server's sentences begin with the field.
 *
 * @param {string} message such as `spec.pixelSize.x: expected ...`.
 * @returns {?string} a field of the form, or null.
 */
function fieldOf(message) {
    const match = /^(?:spec\.)?([A-Za-z]+(?:\.[A-Za-z]+)*)(?:\[\d+\])?:/.exec(message);
    if (!match) {
        return null;
    }
    const name = FIELD_OF[match[1]] || match[1].split('.')[0];
    return name in DEFAULTS || name === 'name' ? name : null;
}

export { DEFAULTS, OUTPUTS, OVERLAPS, UNITS, changesOf, fieldOf, formOf, specFrom };
