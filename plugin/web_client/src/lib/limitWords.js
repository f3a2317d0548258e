/** What each limit of a setting is, for people: its label, and its unit and what it counts; nothing here needs a page. */

/** @type {Object<string, [string, string]>} by the name that the setting has for it. */
const LIMITS = {
    // of zarr.stitch_limits, as docs/rest.md describes them
    dtypes: ['Types of pixels', 'that patches may have, separated by commas'],
    imageSide: ['Side of an image', 'pixels along x or y'],
    imageValues: ['Values of an image', 'pixels times bands and frames'],
    openSessions: ['Open sessions', 'of one user: all that are not complete'],
    patchBytes: ['Size of a patch', 'bytes as it is sent; not for files of several pages'],
    patchPixels: ['Pixels of a patch', 'x times y'],
    patches: ['Patches', 'of one session'],
    references: ['Reference images', 'masks, flat and dark fields of one session'],
    registrationPairs: ['Pairs that registration compares', 'of patches that overlap, in one session'],
    registrationPatches: ['Patches with registration', 'of one session whose spec asks for it'],
    requestBytes: ['Size of a request', 'bytes of one that sends patches, and of a file of several pages'],
    requestPatches: ['Patches of a request', 'and pages of a file'],
    sessionBytes: ['Size of a session', 'bytes of all its patches'],
    // of zarr.limits, as image/limits.py describes them
    axes: ['Axes', 'of an array'],
    chunk_bytes: ['Size of a chunk', 'bytes when it is decoded'],
    frames: ['Frames', 'planes of an image, all channels, slices and times'],
    image_chunk_bytes: ['Size of a chunk that is a picture', 'bytes when it is decoded: JPEG, JPEG XL and the like'],
    json_bytes: ['Size of metadata', 'bytes of one JSON document'],
    json_depth: ['Depth of metadata', 'lists and objects within each other in one JSON document'],
    json_values: ['Values of metadata', 'numbers, texts, lists and objects in one JSON document'],
    levels: ['Levels', 'resolutions of an image'],
    name_bytes: ['Length of a name', 'bytes of the path of a chunk or document in a file'],
    series: ['Images in a file', 'series, and fields of a plate'],
    shard_chunks: ['Chunks of a shard', 'that lie in one file'],
    side: ['Side of an array', 'pixels along one axis'],
    thumbnail_pixels: ['Pixels of a thumbnail', 'width times height'],
    tile_chunks: ['Chunks of a tile', 'at a lower resolution than any that is stored'],
    wells: ['Wells', 'of a plate'],
    zip_directory_bytes: ['Size of the directory of a zip', 'bytes'],
    zip_entries: ['Files in a zip', 'that its directory lists'],
    zip_entry_bytes: ['Size of a file in a zip', 'bytes']
};

/** A name of the program in words: `openSessions` and `chunk_bytes` as people read. */
function wordsOf(name) {
    const words = name.replace(/_/g, ' ').replace(/([a-z])([A-Z])/g, (_, one, other) => `${one} ${other.toLowerCase()}`);
    return words[0].toUpperCase() + words.slice(1);
}

/**
 * @param {string} name
 * @returns {{label: string, unit: string, isBytes: boolean}} of a limit that has no words here, its name and no unit.
 */
function limitOf(name) {
    const [label, unit] = LIMITS[name] || [wordsOf(name), ''];
    return { label, unit, isBytes: unit.startsWith('bytes') };
}

export { limitOf, wordsOf };
