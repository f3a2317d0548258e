/** A tar (POSIX ustar) as a body that is sent: files are taken from where they are and not read into memory. */

const BLOCK = 512;
/** Two empty blocks end a tar. */
const END = new Uint8Array(2 * BLOCK);
/** The size is eleven octal digits; larger ones are written as GNU tar does, big-endian after a byte of 0x80. */
const MOST_IN_OCTAL = 8 ** 11;

/**
 * @param {string} name up to 100 characters of ASCII.
 * @param {number} size in bytes.
 * @returns {Uint8Array} the header of an ordinary file.
 */
function headerOf(name, size) {
    const header = new Uint8Array(BLOCK);
    const write = (text, at) => header.set(Array.from(text, (one) => one.charCodeAt(0)), at);
    const octal = (value, digits) => value.toString(8).padStart(digits, '0');
    write(name, 0);
    write(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
    if (size < MOST_IN_OCTAL) {
        write(`${octal(size, 11)}\0`, 124);
    } else {
        header[124] = 0x80;
        new DataView(header.buffer).setBigUint64(128, BigInt(size));
    }
    write(`${octal(0, 11)}\0`, 136);
    // The sum is made over a header that has blanks in its place.
    write('        0', 148);
    write('ustar\0' + '00', 257);
    write(`${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148);
    return header;
}

/**
 * @param {{name: string, content: Blob}[]} members names up to 100 characters of ASCII.
 * @returns {Blob}
 */
function tarOf(members) {
    return new Blob([...members.flatMap(({ name, content }) => [
        headerOf(name, content.size), content, new Uint8Array((BLOCK - content.size % BLOCK) % BLOCK)
    ]), END]);
}

export { headerOf, tarOf };
