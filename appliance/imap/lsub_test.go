package imap_test

import "testing"

func TestLSub(t *testing.T) {
	o, c := tree(t)
	o.dial().do(`LSUB "" *`, "BAD Log in first")
	c.do(`LSUB "" (a)`, "BAD …")
	c.do(`LSUB "" a*`, `* LSUB (\HasNoChildren) "/" a/b/c`, "OK LSUB completed")
	// RFC 3501, section 6.3.9: what lies above a subscribed name shows with "%".
	c.do(`LSUB "" a%`, `* LSUB (\Noselect \HasChildren) "/" a`, "OK LSUB completed")
	c.do(`LSUB "" g%`, `* LSUB (\Noselect \HasNoChildren) "/" gone`, "OK LSUB completed")
	c.do(`LSUB "" gone/*`, `* LSUB (\Noselect \HasNoChildren) "/" gone/deep`, "OK LSUB completed")
	c.do(`LSUB a/b/ %`, `* LSUB (\HasNoChildren) "/" a/b/c`, "OK LSUB completed")
	c.do(`LSUB "" Junk`, "OK LSUB completed")
	c.do(`LSUB "" Sent`, `* LSUB (\HasNoChildren \Sent) "/" Sent`, "OK LSUB completed")
	c.do(`LSUB "" ""`, `* LSUB (\Noselect) "/" ""`, "OK LSUB completed")
}
