package access_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"pillarbox/appliance/access"
)

// countedListener counts the writes of its connections.
type countedListener struct {
	net.Listener
	writes atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c, &l.writes}, nil
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestALongWriteLeavesInOnePiece(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedListener{Listener: ln}
	text := bytes.Repeat([]byte("All of this is one answer.\r\n"), 64<<10/28)
	done := make(chan int64, 1)
	p := serveOn(t, counted, access.Config{}, func(_ context.Context, c *access.Conn) {
		before := counted.writes.Load()
		for range 10 {
			if n, err := c.Write(text); n != len(text) || err != nil {
				t.Errorf("Write returned %d, %v", n, err)
			}
		}
		done <- counted.writes.Load() - before
	})
	got, err := io.ReadAll(dial(t, p))
	if err != nil || !bytes.Equal(got, bytes.Repeat(text, 10)) {
		t.Errorf("got %d octets, %v; want %d", len(got), err, 10*len(text))
	}
	if n := <-done; n != 10 {
		t.Errorf("10 writes of %d octets took %d calls of the network", len(text), n)
	}
}

func TestWritesOfSeveralGoroutinesStayWhole(t *testing.T) {
	const writers, each = 4, 50
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{}, func(_ context.Context, c *access.Conn) {
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				// Short ones, long ones, and one longer than what is gathered.
				p := bytes.Repeat([]byte{byte('a' + i)}, []int{100, 20 << 10, 60 << 10, 300 << 10}[i])
				for range each {
					if _, err := c.Write(p); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
	got, err := io.ReadAll(dial(t, p))
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{100, 20 << 10, 60 << 10, 300 << 10} {
		if n := bytes.Count(got, []byte{byte('a' + i)}); n != each*size {
			t.Errorf("of %c came %d octets, want %d", 'a'+i, n, each*size)
		}
	}
}

func TestAWriteToAClientThatIsGoneFails(t *testing.T) {
	failed := make(chan error, 1)
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{}, func(_ context.Context, c *access.Conn) {
		text := make([]byte, 64<<10)
		for {
			if _, err := c.Write(text); err != nil {
				_, again := c.Write(text)
				if again == nil {
					t.Error("a write after a failed one succeeded")
				}
				failed <- err
				return
			}
		}
	})
	c := dial(t, p)
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.NetConn().Close()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
}
