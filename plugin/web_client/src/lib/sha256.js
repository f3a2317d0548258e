/** SHA-256 (FIPS 180-4) piece by piece: browsers hash only what is in memory as a whole, and not on plain http. */

const K = new Int32Array([
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
]);
const START = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
];
const BLOCK = 64;

class Sha256 {
    constructor() {
        this.state = new Int32Array(START);
        this.words = new Int32Array(BLOCK);
        this.rest = new Uint8Array(BLOCK);
        this.restLength = 0;
        this.length = 0;
    }

    /** @param {Uint8Array} bytes */
    update(bytes) {
        this.length += bytes.length;
        let at = 0;
        if (this.restLength) {
            at = Math.min(BLOCK - this.restLength, bytes.length);
            this.rest.set(bytes.subarray(0, at), this.restLength);
            this.restLength += at;
            if (this.restLength < BLOCK) {
                return;
            }
            this.block(this.rest, 0);
            this.restLength = 0;
        }
        for (; at + BLOCK <= bytes.length; at += BLOCK) {
            this.block(bytes, at);
        }
        this.rest.set(bytes.subarray(at));
        this.restLength = bytes.length - at;
    }

    /** @returns {Uint8Array} 32 bytes; nothing can be added afterwards. */
    digest() {
        const bits = this.length * 8;
        const padding = new Uint8Array((this.restLength < 56 ? 56 : 120) - this.restLength + 8);
        padding[0] = 0x80;
        const view = new DataView(padding.buffer);
        view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
        view.setUint32(padding.length - 4, bits >>> 0);
        this.update(padding);
        const found = new DataView(new ArrayBuffer(32));
        this.state.forEach((word, at) => found.setInt32(4 * at, word));
        return new Uint8Array(found.buffer);
    }

    block(bytes, at) {
        const { words, state } = this;
        for (let i = 0; i < 16; i += 1) {
            const from = at + 4 * i;
            words[i] = (bytes[from] << 24) | (bytes[from + 1] << 16) | (bytes[from + 2] << 8) | bytes[from + 3];
        }
        for (let i = 16; i < 64; i += 1) {
            const one = words[i - 15];
            const two = words[i - 2];
            const low = ((one >>> 7) | (one << 25)) ^ ((one >>> 18) | (one << 14)) ^ (one >>> 3);
            const high = ((two >>> 17) | (two << 15)) ^ ((two >>> 19) | (two << 13)) ^ (two >>> 10);
            words[i] = (words[i - 16] + low + words[i - 7] + high) | 0;
        }
        let [a, b, c, d, e, f, g, h] = state;
        for (let i = 0; i < 64; i += 1) {
            const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
            const first = (h + high + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
            const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
            const second = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
            h = g;
            g = f;
            f = e;
            e = (d + first) | 0;
            d = c;
            c = b;
            b = a;
            a = (first + second) | 0;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

export { Sha256 };
