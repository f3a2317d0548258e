/** The rules of our own pages, which all others of Girder's go without. */
import rules from '../pages.styl?inline';

document.head.append(Object.assign(document.createElement('style'), { textContent: rules }));
