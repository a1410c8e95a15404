// Package webui is the box's web page: claiming a fresh box, signing in, the
// administrator's pages and everybody's own. Pages are made here, on the box,
// and work without JavaScript; what there is of it only makes them livelier.
//
// # How a page is added
//
// A page is a file with a method that returns its routes, a template, and a
// test. Nothing else needs to know of it:
//
//   - Routes: a method such as (*Server).banRoutes returns []Route; put it into
//     the list in routes.go. Each Route says who may come (Role), whether
//     somebody must have shown lately that they are who they are (Fresh), and
//     how long a form may be (MaxBody). A GET changes nothing, and the POST that
//     does ends with v.seeOther, so that reloading does not repeat it. A test
//     walks all routes with each role; there is nothing to add to it.
//   - Navigation: Route.Nav and Route.Section put a GET into the menu, for those
//     who may open it.
//   - Work: v.call(method, path, in, &out) asks package control, under the name
//     of who is signed in, so that the page, the command line and a token do
//     the same thing and the audit record says who did it. Decode the answer
//     into a struct of your own with the fields that the page shows. An error
//     that says what is wrong is an *APIError; v.explain puts it beside the form.
//   - Undo: where what was done can be taken back, v.undoable says so with a
//     button that sends another form. Where it cannot, the page asks before.
//   - API: whatever a form does, a program can do. pageActs of package
//     appliance's tests names the request for each form, or says why there is
//     none; the role of both is the same.
//   - Settings: each has a field on a page. everysetting_test.go goes through all of
//     them and wants to know which form sets a new one, or why none does.
//   - Template: pages/NAME.html defines "main"; v.show("NAME", title, data) fills
//     it, as .D. Forms are written with the blocks "field" and "problem" of
//     parts.html, which keep what was typed and tie an explanation to its field.
//     Every table has a caption and an empty state in words.
//   - A page for what not every machine has, such as its power, has its routes left
//     out by what Config says: no page for what is not there.
//   - Strings stand in the templates and in what is beside v.flash: plain
//     English, what happened and what to do next.
//   - Live parts: an element with data-live="/path" is filled again whenever
//     GET /path, a Route with Stream, says so; see live.go. Without JavaScript
//     it shows what the page was made with.
//   - Test: roles_test.go and html_test.go walk your routes; what the API answers
//     them stands in filled of html_test.go. appliance/integration/web follows
//     the links of the real box with a browser and axe-core.
//   - No style= and no onclick=: the content security policy refuses both.
//
// # Who may come
//
// Roles stand in a row: anyone, a person of the office, auditor (reads all,
// changes nothing), operator, administrator. The administrator of the box signs
// in as "admin"; others sign in as for their mail, and have the role that was
// given to them. A second factor, where somebody has one, is asked for after the
// password. A passkey is both at once.
//
// # What is kept
//
// In system.db, in sections of its own:
//
//	web/sessions  SHA-256 of the cookie → who, since when, from where
//	web/users     "admin" or an account's id → role, second factor, recovery codes, passkeys
//	web/tokens    SHA-256 of the token → name, role, by whom
//	web/office    "office" → how far the first steps went
//	web/doctor    when it began → an examination and what it found
//
// The office's name, mail domain and time zone are settings, as the box's others.
// A setting without a page of its own gets a line in settingGroups. A [Book] holds
// all but how far the first steps went. It is open without the pages, too: who
// lost a telephone at night gets in by a command (account reset-factor), whether
// the server runs or not. What others do to a user or a token goes by package
// control, which asks the Book; only what somebody proves of themselves, such as
// a new passkey, is done here alone.
//
// Cookies and tokens have 256 random bits, so that a plain hash is enough.
// Recovery codes are kept as hashes, too; the secret of a second factor has to
// be kept as it is.
//
// # Threats
//
//   - Somebody else on the LAN claims the box: claiming needs a code that only
//     the console shows, and is over once it has been done.
//   - Guessing: every password, code and token goes through the same throttle and
//     bans as those for mail.
//   - Another site in the same browser: cookies are SameSite=Strict, requests
//     that change something are refused from other origins, and a Host that is
//     none of ours is refused, so that a name of somebody else's that leads here
//     (DNS rebinding) opens nothing.
//   - Markup that a stranger put into a name or a log line: templates escape it,
//     and the policy runs no script but our own file.
//   - A stolen session: it ends when idle, after a day at most, with a new
//     password or role, and dangerous acts ask for the password again.
//   - The Internet: addresses outside the office's networks are not answered,
//     but for what mail programs and a certificate authority ask.
//
// The package knows no other of ours: what it needs it declares (Gate, API,
// Store) and is given.
package webui
