package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pillarbox/appliance"
	"pillarbox/appliance/audit/syslog"
	"pillarbox/appliance/control"
	"pillarbox/appliance/restart"
	"pillarbox/storage"
)

type serveCommand struct {
	dataFlag

	Imaps       []string   `name:"imaps" help:"Addresses for IMAP over TLS, HOST:PORT. Without it all addresses on port 993, or 9993 where this user may not have 993." placeholder:"ADDR"`
	ImapsLegacy []string   `name:"imaps-legacy" help:"The same for the port that some sites use beside it: 990, or 9990." placeholder:"ADDR"`
	Lmtp        []string   `name:"lmtp" help:"Addresses for LMTP: unix:PATH or HOST:PORT on loopback. Without it unix:DIR/lmtp.sock." placeholder:"ADDR"`
	Metrics     []string   `help:"Addresses on which Prometheus may ask, once the settings open that. Without it port 9464." placeholder:"ADDR"`
	Http        []string   `name:"http" help:"Addresses for the web page, by plain HTTP, which leads to HTTPS. Without it all addresses on port 80, or 8080, and none where --imaps names some." placeholder:"ADDR"`
	Https       []string   `name:"https" help:"The same for HTTPS: port 443, or 8443." placeholder:"ADDR"`
	WebFrom     []string   `name:"web-from" help:"A network from which the web page may be opened, beside those that this machine is in." placeholder:"NETWORK"`
	Hostname    string     `help:"How the server calls itself. Without it the machine's name."`
	Name        []string   `help:"Another name or address that clients use, for the certificate." placeholder:"NAME"`
	MaxMessage  size       `help:"The largest message that is taken." placeholder:"SIZE"`
	LogLevel    slog.Level `help:"How much is logged: debug, info, warn, error." default:"info"`
	LogFormat   string     `help:"How it is logged: text, json, or auto, which is systemd's journal where standard error leads there and text elsewhere." enum:"auto,text,json" default:"auto"`
	LogFile     bool       `help:"Keep the log in the data folder too, in log/pillarbox.log: at most 5 MB, and written seldom."`
	Conditions  string     `help:"A file in which the firmware tells what is wrong with the machine; pillarbox status shows it too." type:"path" placeholder:"FILE"`
	NetSocket   string     `name:"network-socket" help:"The socket of the service that keeps the network and the firewall (firmware)." type:"path" placeholder:"FILE"`
	NetStatus   string     `name:"network-status" help:"Where that service writes its state; without it where it does in the firmware." type:"path" placeholder:"FILE"`
	PowerSocket string     `name:"power-socket" help:"The socket of the process that starts the machine anew and switches it off (firmware)." type:"path" placeholder:"FILE"`
	BackOff     bool       `help:"After runs that ended badly wait before serving, longer each time: for supervisors that restart at once and for ever."`
	AdminHash   string     `name:"admin-password-hash-file" help:"A file with the argon2id hash of the administrator's first password. It is taken where there is no password yet." type:"path" placeholder:"FILE"`
	AuditSyslog string     `name:"audit-syslog" help:"A log server that is sent the signed checkpoints of the audit record: udp://HOST:514, tcp://HOST:601 or tls://HOST:6514, with ?ca=FILE where its certificate is of a CA of one's own." placeholder:"URL"`
	Sample      bool       `help:"Make a sample office with two people and their mail, listen on this machine only, and tell how to connect."`
}

// Help is printed below the flags.
func (c *serveCommand) Help() string {
	return `Addresses may be repeated or separated by commas; the port 0 takes a free one, which
the log names; "off" switches a service off. SIGTERM and SIGINT stop the server once
what it acknowledged is done; SIGHUP takes a renewed certificate into use, and with
--sample, where it tells that the terminal was closed, stops the server too. Where systemd
passes sockets (named imaps, imaps-legacy, lmtp, http and https by FileDescriptorName), those are
served, and of the others only what has an address here.

A server that hangs or cannot be reached any more says why, and ends with status 70 to
be started again.`
}

// errEnded says that the server ended though nobody told it to. A supervisor
// must not take that for a stop: gokrazy starts nothing again that ends with
// status 0.
var errEnded = errors.New("the server ended by itself")

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, e *env) (err error) {
	counted := false
	defer func() {
		if c.BackOff && !counted && err != nil {
			restart.Pause(ctx)
		}
	}()
	conf := &appliance.Config{
		Dir:         c.Data,
		Version:     version,
		IMAPS:       c.Imaps,
		IMAPSLegacy: c.ImapsLegacy,
		LMTP:        c.Lmtp,
		Metrics:     c.Metrics,
		HTTP:        c.Http,
		HTTPS:       c.Https,
		Loopback:    c.Sample,
		Hostname:    c.Hostname,
		Names:       c.Name,
		MaxMessage:  int64(c.MaxMessage),
		Conditions:  c.Conditions,
		AdminHash:   c.AdminHash,

		NetworkSocket: c.NetSocket,
		NetworkStatus: c.NetStatus,
		PowerSocket:   c.PowerSocket,
	}
	if err := conf.Validate(); err != nil {
		return &usageError{err: err}
	}
	for _, text := range c.WebFrom {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return &usageError{err: fmt.Errorf("--web-from: %q is not a network such as 192.168.7.0/24", text)}
		}
		conf.WebFrom = append(conf.WebFrom, network.Masked())
	}
	if c.AuditSyslog != "" {
		sender, err := syslog.New(c.AuditSyslog, cmp.Or(c.Hostname, machineName()))
		if err != nil {
			return &usageError{err: fmt.Errorf("--audit-syslog: %w", err)}
		}
		conf.AuditSender = sender
	}
	if err := c.checkFolder(); err != nil {
		return err
	}
	if c.Sample {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	if conf.Reset, err = carryOut(c.Data, e); err != nil {
		return err
	}
	book, err := openLog(c.Data, c.LogFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	conf.Logger, conf.Log, conf.LogAll = c.logger(e, book), book.Tail, book.Copy
	counted, err = c.record(ctx, conf, func() error {
		err := c.serve(ctx, e, conf)
		if err == nil && ctx.Err() == nil {
			return errEnded
		}
		return err
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop before everything had started
	}
	if errors.Is(err, storage.ErrLocked) {
		return &heldError{pid: holder(ctx, c.Data), err: err}
	}
	if errors.Is(err, storage.ErrCorrupt) {
		return &hintError{hint: "Nothing was changed, and no mail is refused: who has some for this server keeps it and tries again. " + mendHint(c.Data), err: err}
	}

	return err
}

// machineName returns what the machine calls itself, "" if it does not say.
func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}

	return name
}

// record keeps how this run of f ends, and what it says while it breaks down.
// Counted tells whether that could be done.
func (c *serveCommand) record(ctx context.Context, conf *appliance.Config, f func() error) (counted bool, err error) {
	run, err := restart.Begin(&restart.Config{Dir: c.Data, Version: version, Logger: conf.Logger.With("service", "restart")})
	if err != nil {
		if !errors.Is(err, restart.ErrRunning) { // then f says it better
			conf.Logger.WarnContext(ctx, "the program's restarts are not counted", "err", err)
		}
		return false, f()
	}
	defer func() {
		reason := err
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			reason = nil
		}
		if endErr := run.End(reason); endErr != nil {
			conf.Logger.WarnContext(ctx, "the end of the program is not noted", "err", endErr)
		}
	}()
	conf.Run = run
	conf.Abort = func() { os.Exit(statusSick) } // the log's last line was an error and is written
	if c.BackOff {
		if err := run.Wait(ctx); err != nil {
			return true, err
		}
	}

	return true, f()
}

func (c *serveCommand) serve(ctx context.Context, e *env, conf *appliance.Config) error {
	a, err := appliance.New(ctx, conf)
	if err != nil {
		return err
	}
	if c.Sample {
		if err := showSample(ctx, e, a, c.Data); err != nil {
			return errors.Join(err, a.Close())
		}
	}
	if !c.Sample {
		defer reloadOnHangup(ctx, a, conf.Logger)()
		defer c.hintAtAccounts(ctx, conf.Logger)()
	}
	if conf.Run != nil {
		conf.Run.Ready()
	}

	return a.Run(ctx)
}

// hintAtAccounts tells, once the server answers, that nobody has an account.
func (c *serveCommand) hintAtAccounts(ctx context.Context, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err := control.Dial(ctx, c.Data)
		if err != nil {
			return // it is a hint only
		}
		defer client.Close()
		if accounts, err := client.Accounts(ctx); err == nil && len(accounts) == 0 {
			log.InfoContext(ctx, "there are no accounts yet", "make_one", "pillarbox account add ADDRESS --data "+quote(c.Data))
		}
	}()

	return func() { cancel(); <-done }
}

// holder asks the server on a data folder for its process; 0 if none answers.
func holder(ctx context.Context, dir string) int {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := control.Dial(ctx, dir)
	if err != nil {
		return 0
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return 0
	}

	return s.PID
}

// reloadOnHangup reloads the certificate at each SIGHUP until stop is called.
func reloadOnHangup(ctx context.Context, a *appliance.Appliance, log *slog.Logger) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangup {
			if err := a.Reload(ctx); err != nil {
				log.Error("certificate not reloaded", "err", err)
			}
		}
	}()

	return func() {
		signal.Stop(hangup)
		close(hangup)
		<-done
	}
}
