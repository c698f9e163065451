/** The views that every viewer has. */

import { Gallery } from "viewer/gallery.js";
import { Home } from "viewer/home.js";
import { PhotoPage } from "viewer/photo_page.js";

/** @import {MakeView} from "viewer/app.js" */

/** @type {Record<string, MakeView>} */
export const ROUTES = {
  classes: (app, params) => new Home(app, params),
  gallery: (app, params) => new Gallery(app, params),
  photo: (app, params) => new PhotoPage(app, params),
};
