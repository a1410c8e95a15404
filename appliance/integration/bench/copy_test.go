package bench_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// copyVariable makes the test binary a server that sends so many octets from
// memory to everybody who connects.
const copyVariable = "PILLARBOX_COPY"

func TestMain(m *testing.M) {
	if text := os.Getenv(copyVariable); text != "" {
		if err := serveMemory(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// copyRate tells how many octets per second Go's TLS copies from the memory of
// another process to clients that do nothing with them, and what processor time
// that process takes: what a download is measured by. It is done as often as
// the download was.
func copyRate(b *testing.B, connections int, octets int64, times int) (rate float64, cpu time.Duration) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), copyVariable+"="+strconv.FormatInt(octets, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	stop, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		stop.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}()
	said := bufio.NewReader(out)
	addr, err := said.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	var certificate strings.Builder
	for !strings.HasSuffix(certificate.String(), "-----END CERTIFICATE-----\n") {
		line, err := said.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		certificate.WriteString(line)
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool()}
	if !trust.RootCAs.AppendCertsFromPEM([]byte(certificate.String())) {
		b.Fatalf("no certificate: %q", certificate.String())
	}
	before, begin := cpuTime(b, cmd.Process.Pid), time.Now()
	for range times {
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				conn, err := tls.Dial("tcp", strings.TrimSpace(addr), trust)
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				// Read as a Wire reads.
				if n, err := bufio.NewReaderSize(conn, 64<<10).Discard(int(octets)); err != nil {
					b.Errorf("after %d octets: %v", n, err)
				}
			})
		}
		all.Wait()
	}
	rate = float64(octets) * float64(connections*times) / time.Since(begin).Seconds()
	return rate, cpuTime(b, cmd.Process.Pid) - before
}

// serveMemory serves until standard input ends, and prints where and by which
// certificate.
func serveMemory(text string) error {
	octets, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = ln.Close()
	}()
	fmt.Printf("%s\n%s", ln.Addr(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	// The same octets, and not a few of them again and again: those would come
	// from the processor's cache, which no mailbox fits into.
	memory := make([]byte, octets)
	for i := range memory {
		memory[i] = byte(i * i >> 8)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return nil // it was closed
		}
		go func() {
			defer conn.Close()
			_, _ = conn.Write(memory)
		}()
	}
}

// selfSigned makes a certificate for loopback, of the kind that the box uses.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
