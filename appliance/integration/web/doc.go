// Package web holds no code: it is the place of the tests that open the box's
// pages with a browser, Debian's Chromium, as people do.
//
// PILLARBOX_SCREENSHOTS=folder keeps a picture of each page there, light and
// dark, wide and narrow. PILLARBOX_AXE=file is axe.min.js of axe-core and
// PILLARBOX_VNU=file is vnu.jar, the HTML checker of the W3C; without them the
// tests fetch the versions that they name, by npm. PILLARBOX_WEB=full takes
// the time for all that they can see.
package web
