import { compileClient } from 'pug';
import { defineConfig } from 'vite';

/** Compile a pug template into a function; pug escapes what templates print with `=`. */
function pugTemplates() {
    return {
        name: 'pug-templates',
        transform(source, id) {
            if (!id.endsWith('.pug')) {
                return null;
            }
            const template = compileClient(source, { filename: id, compileDebug: false });
            return { code: `${template}\nexport default template;`, map: null };
        }
    };
}

// Girder loads one script and one style sheet, in which plugins find Girder itself as the global `girder`.
export default defineConfig({
    plugins: [pugTemplates()],
    build: {
        outDir: '../girder_zarr/web_client/dist',
        emptyOutDir: true,
        lib: {
            entry: 'src/main.js',
            name: 'GirderPluginZarr',
            formats: ['umd'],
            fileName: () => 'girder-plugin-zarr.umd.cjs',
            cssFileName: 'style'
        }
    }
});
