import './style.styl';
import './entry/folderPage';
import './entry/itemPage';
import './entry/itemViewer';
import './entry/routes';
