/** An estimated flat field as the server writes it: a polynomial for each band; docs/format.md says which. */

const DEGREE = 6;
/** The degrees along y and x of each coefficient. */
const TERMS = Array.from({ length: DEGREE }, (_, at) => at + 1)
    .flatMap((total) => Array.from({ length: total + 1 }, (_, row) => [row, total - row]));

/** Legendre's polynomials up to DEGREE at a place from -1 to 1. */
function legendre(place) {
    const values = [1, place];
    for (let degree = 2; degree <= DEGREE; degree += 1) {
        values.push(((2 * degree - 1) * place * values[degree - 1] - (degree - 1) * values[degree - 2]) / degree);
    }
    return values;
}

const centres = (count) => Array.from({ length: count }, (_, at) => legendre((at + 0.5) * 2 / count - 1));

/**
 * The light of one band, with a mean of 1.
 *
 * @param {number[]} coefficients of TERMS, of the logarithm of the field.
 * @param {number} width
 * @param {number} height
 * @returns {{values: Float32Array, least: number, most: number}} row by row.
 */
function fieldOf(coefficients, width, height) {
    const columns = centres(width);
    const values = new Float32Array(width * height);
    let sum = 0;
    centres(height).forEach((down, y) => {
        // What a row multiplies the polynomials along x with.
        const along = new Array(DEGREE + 1).fill(0);
        TERMS.forEach(([row, column], at) => {
            along[column] += (coefficients[at] || 0) * down[row];
        });
        columns.forEach((across, x) => {
            const light = Math.exp(along.reduce((total, factor, degree) => total + factor * across[degree], 0));
            values[y * width + x] = light;
            sum += light;
        });
    });
    const mean = sum / values.length;
    let [least, most] = [Infinity, -Infinity];
    values.forEach((value, at) => {
        const scaled = value / mean;
        values[at] = scaled;
        least = Math.min(least, scaled);
        most = Math.max(most, scaled);
    });
    return { values, least, most };
}

export { TERMS, fieldOf };
