/**
 * Builds the web client.
 *
 * Girder loads one classic script of a plugin on every page and waits for it before the application starts. That
 * script only hooks into Girder's pages; what they show is loaded by `import()` when somebody opens it. The pages are
 * built first, so that the script knows their names, which carry a hash of their contents.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const OUT = fileURLToPath(new URL('../girder_zarr/web_client/dist', import.meta.url));
const jsx = { jsx: 'automatic', jsxImportSource: 'preact' };
const shared = { configFile: false, logLevel: 'warn', root: fileURLToPath(new URL('.', import.meta.url)), esbuild: jsx };

const pages = await build({
    ...shared,
    base: './',
    build: {
        outDir: OUT,
        emptyOutDir: true,
        modulePreload: false,
        rollupOptions: {
            input: {
                folder: 'src/pages/folder.jsx',
                stitch: 'src/pages/stitch.jsx',
                item: 'src/pages/item.jsx',
                admin: 'src/pages/admin.jsx'
            },
            preserveEntrySignatures: 'strict',
            output: {
                entryFileNames: 'pages/[name]-[hash].js',
                chunkFileNames: 'pages/[name]-[hash].js'
            }
        }
    }
});
const names = Object.fromEntries(pages.output.filter((one) => one.isEntry).map((one) => [one.name, one.fileName]));

await build({
    ...shared,
    define: { __PAGES__: JSON.stringify(names) },
    build: {
        outDir: OUT,
        emptyOutDir: false,
        lib: {
            entry: 'src/main.js',
            name: 'GirderPluginZarr',
            formats: ['iife'],
            fileName: () => 'girder-plugin-zarr.umd.cjs',
            cssFileName: 'style'
        }
    }
});
