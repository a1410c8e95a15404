package power

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// answerTime is how long an order may take until it is under way.
const answerTime = 20 * time.Second

// Give gives an order by a socket, and returns when it is under way. An error
// says that nothing has begun, as far as is known.
func Give(ctx context.Context, socket string, o Order) error {
	ctx, stop := context.WithTimeout(ctx, answerTime)
	defer stop()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("give the order %q: %w", o, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(0, 0)) })()
	if _, err := io.WriteString(conn, string(o)+"\n"); err != nil {
		return fmt.Errorf("give the order %q: %w", o, err)
	}
	text, err := io.ReadAll(io.LimitReader(conn, maxLine))
	said := strings.TrimSuffix(string(text), "\n")
	words, refused := strings.CutPrefix(said, "refused: ")
	switch {
	case said == "under way":
		return nil
	case refused:
		return errors.New(words)
	case err == nil:
		err = io.ErrUnexpectedEOF
	}

	return fmt.Errorf("wait for the answer to the order %q: %w", o, errors.Join(err, ctx.Err()))
}
