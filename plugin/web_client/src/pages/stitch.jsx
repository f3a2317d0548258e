/** The pages of stitch sessions. */
import '../ui/pageStyles.js';
import { shown } from '../ui/render.js';
import { MySessions } from './MySessions.jsx';
import { NewSession } from './NewSession.jsx';
import { Session } from './Session.jsx';

const showMySessions = shown(MySessions);
const showNewSession = shown(NewSession);
const showSession = shown(Session);

export { showMySessions, showNewSession, showSession };
