/** Admin console, Plugins, Zarr. */
import '../ui/pageStyles.js';
import { shown } from '../ui/render.js';
import { Settings } from './Settings.jsx';

const showSettings = shown(Settings);

export { showSettings };
