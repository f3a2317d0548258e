import js from '@eslint/js';
import globals from 'globals';

export default [
    { linterOptions: { reportUnusedDisableDirectives: 'error' } },
    js.configs.recommended,
    {
        rules: {
            curly: 'error',
            eqeqeq: 'error',
            'no-console': 'error',
            'no-implicit-globals': 'error',
            'no-param-reassign': 'error',
            'no-shadow': 'error',
            'no-var': 'error',
            'object-shorthand': ['error', 'properties'],
            'prefer-const': 'error'
        }
    },
    { files: ['**/*.{js,jsx}'], languageOptions: { parserOptions: { ecmaFeatures: { jsx: true } } } },
    {
        files: ['src/**'],
        // Girder's page gives plugins itself, and GeoJS by way of large_image.
        languageOptions: { globals: { ...globals.browser, girder: 'readonly', geo: 'readonly' } }
    },
    {
        files: ['test/**', '*.config.js', 'build.js'],
        languageOptions: { globals: globals.node }
    }
];
