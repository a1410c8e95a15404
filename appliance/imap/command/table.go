package command

// entry is a command's name and the parser of its arguments.
type entry struct {
	name  string
	parse func(*Reader) Args
}

// bare makes the entry of a command without arguments; args, which has no
// fields, is shared.
func bare(name string, args Args) entry {
	return entry{name, func(*Reader) Args { return args }}
}

var entries = map[string]entry{
	"CAPABILITY":   bare("CAPABILITY", &Capability{}),
	"NOOP":         bare("NOOP", &Noop{}),
	"LOGOUT":       bare("LOGOUT", &Logout{}),
	"STARTTLS":     bare("STARTTLS", &StartTLS{}),
	"CHECK":        bare("CHECK", &Check{}),
	"CLOSE":        bare("CLOSE", &Close{}),
	"UNSELECT":     bare("UNSELECT", &Unselect{}),
	"NAMESPACE":    bare("NAMESPACE", &Namespace{}),
	"IDLE":         bare("IDLE", &Idle{}),
	"EXPUNGE":      {"EXPUNGE", func(*Reader) Args { return &Expunge{} }},
	"LOGIN":        {"LOGIN", (*Reader).login},
	"AUTHENTICATE": {"AUTHENTICATE", (*Reader).authenticate},
	"ENABLE":       {"ENABLE", (*Reader).enable},
	"ID":           {"ID", (*Reader).id},
	"SELECT":       {"SELECT", (*Reader).selectBox},
	"EXAMINE":      {"EXAMINE", (*Reader).examine},
	"CREATE":       {"CREATE", (*Reader).create},
	"DELETE":       {"DELETE", func(r *Reader) Args { return &Delete{Mailbox: r.mailbox()} }},
	"RENAME":       {"RENAME", func(r *Reader) Args { return &Rename{From: r.mailbox(), To: r.mailbox()} }},
	"SUBSCRIBE":    {"SUBSCRIBE", func(r *Reader) Args { return &Subscribe{Mailbox: r.mailbox()} }},
	"UNSUBSCRIBE":  {"UNSUBSCRIBE", func(r *Reader) Args { return &Subscribe{Mailbox: r.mailbox(), Off: true} }},
	"LIST":         {"LIST", (*Reader).list},
	"LSUB":         {"LSUB", func(r *Reader) Args { return r.oldList(LSub) }},
	"XLIST":        {"XLIST", func(r *Reader) Args { return r.oldList(XList) }},
	"STATUS":       {"STATUS", (*Reader).status},
	"APPEND":       {"APPEND", func(r *Reader) Args { return &Append{Mailbox: r.mailbox()} }},
	"FETCH":        {"FETCH", func(r *Reader) Args { return r.fetch(false) }},
	"STORE":        {"STORE", func(r *Reader) Args { return r.store(false) }},
	"COPY":         {"COPY", func(r *Reader) Args { return r.copyTo(false, false) }},
	"MOVE":         {"MOVE", func(r *Reader) Args { return r.copyTo(false, true) }},
	"SEARCH":       {"SEARCH", func(r *Reader) Args { return r.search(false) }},
	"GETQUOTA":     {"GETQUOTA", (*Reader).getQuota},
	"GETQUOTAROOT": {"GETQUOTAROOT", func(r *Reader) Args { return &GetQuotaRoot{Mailbox: r.mailbox()} }},
	"SETQUOTA":     {"SETQUOTA", (*Reader).setQuota},
}

var uidEntries = map[string]entry{
	"FETCH":   {"UID FETCH", func(r *Reader) Args { return r.fetch(true) }},
	"STORE":   {"UID STORE", func(r *Reader) Args { return r.store(true) }},
	"COPY":    {"UID COPY", func(r *Reader) Args { return r.copyTo(true, false) }},
	"MOVE":    {"UID MOVE", func(r *Reader) Args { return r.copyTo(true, true) }},
	"SEARCH":  {"UID SEARCH", func(r *Reader) Args { return r.search(true) }},
	"EXPUNGE": {"UID EXPUNGE", (*Reader).uidExpunge},
}
