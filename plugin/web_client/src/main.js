import './style.styl';
import './entry/folderPage';
import './entry/itemPage';
import './entry/routes';
