package integration_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
)

// modules are Thunderbird's own for adding an account.
const modules = `
const load = name => ChromeUtils.importESModule("resource:///modules/" + name + ".sys.mjs");
const {MailServices} = load("MailServices");
const {FindConfig} = load("accountcreation/FindConfig");
const {AccountConfig} = load("accountcreation/AccountConfig");
const {ConfigVerifier} = load("accountcreation/ConfigVerifier");
const {CreateInBackend} = load("accountcreation/CreateInBackend");
const server = s => [s.type, s.hostname, s.port, s.socketType, s.auth, s.username].join(" ");
const signal = new AbortController().signal;
`

// discover is what its account hub does with an address and a password: it looks
// for settings, verifies them by signing in, and adds the account.
const discover = modules + `
const [address, password] = args;
const found = await FindConfig.parallelAutoDiscovery(address.split("@")[1], address, signal).next();
if (!found.done || !found.value) throw new Error("it finds no settings: " + JSON.stringify(found));
const wanted = found.value;
wanted.identity ??= {};
wanted.identity.realname = "Somebody";
wanted.identity.emailAddress = address;
AccountConfig.replaceVariables(wanted, "Somebody", address, password);
const config = await new ConfigVerifier(window.msgWindow, signal).verifyConfig(wanted, wanted.source != AccountConfig.kSourceXML);
const account = await CreateInBackend.createAccountInBackend(config);
return {
  from: config.subSource, incoming: server(config.incoming), outgoing: server(config.outgoing),
  alternatives: config.incomingAlternatives.length + config.outgoingAlternatives.length,
  senders: MailServices.outgoingServer.servers.map(s => s.serverURI.spec),
  sends: MailServices.outgoingServer.getServerByIdentity(account.defaultIdentity).serverURI.spec,
};`

// readInbox fetches the INBOX of the newest account, and the text of a message.
const readInbox = modules + `
const imap = MailServices.accounts.accounts.map(a => a.incomingServer).filter(s => s.type == "imap").pop();
imap.getNewMessages(imap.rootFolder, window.msgWindow, null);
let inbox, messages = [];
while (!messages.length) {
  await new Promise(r => window.setTimeout(r, 100));
  inbox = imap.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
  if (inbox) messages = [...inbox.messages];
}
const uri = inbox.getUriForMsg(messages[0]);
const text = await new Promise((resolve, reject) => {
  let all = "";
  MailServices.messageServiceFromURI(uri).streamMessage(uri, {
    QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
    onStartRequest() {},
    onStopRequest(request, status) { Components.isSuccessCode(status) ? resolve(all) : reject(new Error("status " + status)); },
    onDataAvailable(request, stream, offset, count) {
      const s = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
      s.init(stream); all += s.read(count);
    },
  }, window.msgWindow, null, false, "", false);
});
return {subjects: messages.map(m => m.mime2DecodedSubject), text, sent: !!imap.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.SentMail)};`

// autodiscover has it look for the account by Outlook's protocol alone.
const autodiscover = modules + `
const {fetchConfigFromExchange} = load("accountcreation/ExchangeAutoDiscover");
const config = await fetchConfigFromExchange(args[0].split("@")[1], args[0], signal, null, "", () => {});
return [config.subSource, server(config.incoming), String(config.outgoing.useGlobalPreferredServer)];`

// without has it read the autoconfig file without a server for sending.
const without = modules + `
const {readFromXML} = load("accountcreation/readFromXML");
const {JXON} = load("JXON");
const text = await (await fetch(args[0])).text();
const read = text => readFromXML(JXON.build(new DOMParser().parseFromString(text, "text/xml")), "test");
read(text);
try { read(text.replace(/<outgoingServer[^]*<\/outgoingServer>/, "")); } catch (e) { return String(e); }
return "";`

// TestThunderbirdSetsItselfUp from an address and a password, in an office whose
// name server knows the box, and reads mail.
func TestThunderbirdSetsItselfUp(t *testing.T) {
	if testing.Short() {
		t.Skip("Thunderbird takes its time, and the box does nothing that needs it twice")
	}
	rig.Tool(t, "thunderbird", "thunderbird")
	box := rig.NewBox(t, binary)
	(&rig.Command{Path: "cp", Args: []string{"-a", template, box.Dir}}).MustRun(t)
	box.Args = []string{"--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--name", "mail.office.example"}
	box.Start(t)
	const eve, evePassword = "eve@other.example", "Lantern 4 wood-stove"
	box.AddAccount(t, eve, evePassword)
	mustAppend(t, asAda(t, box, nil), "INBOX", []byte("From: bob@office.example\r\nTo: ada@office.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nThe oven is warm.\r\n"))
	plain, secure := box.Web(t)
	_, port, _ := net.SplitHostPort(box.IMAPS(t, "tcp4"))
	m := newMaze(t, map[string]string{
		"autoconfig.office.example:443": secure, "autodiscover.office.example:443": secure,
		// Nobody has HTTPS for a domain that the box's authority may not certify.
		"autoconfig.other.example:80": plain,
		"mail.office.example:" + port: box.IMAPS(t, "tcp4"),
	})
	b := startThunderbird(t, m.addr, box.CAFile())

	type account struct {
		From, Incoming, Outgoing, Sends string
		Alternatives                    int
		Senders                         []string
	}
	// Socket type 3 is TLS from the first octet on, authentication 3 a password.
	ours := "smtp://ada%40office.example@mail.office.example:465/"
	var got account
	b.run(&got, discover, ada, adaPassword)
	want := account{
		From: "xml-from-isp-https", Incoming: "imap mail.office.example " + port + " 3 3 ada@office.example",
		Outgoing: "smtp mail.office.example 465 3 3 ada@office.example", Sends: ours, Senders: []string{ours},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var mail struct {
		Subjects []string
		Text     string
		Sent     bool
	}
	b.run(&mail, readInbox)
	if !slices.Equal(mail.Subjects, []string{"Grüße"}) || !strings.Contains(mail.Text, "The oven is warm.") || !mail.Sent {
		t.Errorf("it reads %+v", mail)
	}

	// Who has a server for sending keeps it.
	b.run(&got, discover, eve, evePassword)
	want = account{
		From: "xml-from-isp-http", Incoming: "imap mail.office.example " + port + " 3 3 eve@other.example",
		Outgoing: "smtp mail.office.example 465 3 3 eve@other.example", Sends: ours, Senders: []string{ours},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	var found []string
	b.run(&found, autodiscover, ada)
	if d := cmp.Diff([]string{"exchange-from-url1", "imap mail.office.example " + port + " 3 3 ada@office.example", "true"}, found); d != "" {
		t.Errorf("by autodiscover: %s", d)
	}
	var refused string
	b.run(&refused, without, "https://autoconfig.office.example/mail/config-v1.1.xml?emailaddress="+ada)
	if !strings.Contains(refused, "outgoingServer") {
		t.Errorf("it takes a configuration without a server for sending (%q): then leave out what stands for one", refused)
	}
	if seen := m.seen(); !seen["mail.office.example:"+port] || seen["mail.office.example:465"] {
		t.Errorf("it went to %v", seen)
	}
}
