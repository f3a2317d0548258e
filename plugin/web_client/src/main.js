import './style.styl';
import './folderPage';
import './itemPage';
import './routes';
