import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { headerOf, tarOf } from '../src/lib/tar.js';

test('tar unpacks what was packed, files of any length', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tar-'));
    const members = [0, 1, 511, 512, 513, 5000].map((size, at) => (
        { name: `p${at}`, content: new Blob([new Uint8Array(size).fill(at + 1)]) }));
    const archive = path.join(folder, 'all.tar');
    writeFileSync(archive, new Uint8Array(await tarOf(members).arrayBuffer()));
    execFileSync('tar', ['-xf', archive, '-C', folder]);
    for (const { name, content } of members) {
        assert.deepEqual(readFileSync(path.join(folder, name)), Buffer.from(await content.arrayBuffer()));
    }
});

test('a size above 8 GiB is written as GNU tar does', () => {
    const size = 2 ** 33 + 12345;
    const folder = mkdtempSync(path.join(tmpdir(), 'tar-'));
    const archive = path.join(folder, 'large.tar');
    writeFileSync(archive, headerOf('large', size));
    // The file itself is not there, so that tar says after the name that the archive ends too early.
    let listed = '';
    try {
        execFileSync('tar', ['-tvf', archive], { stdio: 'pipe' });
    } catch ({ stdout }) {
        listed = stdout.toString();
    }
    assert.match(listed, new RegExp(`\\b${size}\\b.*large`));
});
