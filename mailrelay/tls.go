package mailrelay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// handshakeLimit bounds the handshake: 5 KB at 2,400 bit/s take 20 s, and the
// arithmetic of RSA a 486 as long again.
const handshakeLimit = 2 * time.Minute

func handshake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// implicitTLS puts TLS before handle.
func implicitTLS(conf *tls.Config, log *slog.Logger, handle func(context.Context, net.Conn)) func(context.Context, net.Conn) {
	return func(ctx context.Context, raw net.Conn) {
		conn := tls.Server(raw, conf)
		if err := handshake(ctx, conn); err != nil {
			if ctx.Err() == nil {
				log.Info("TLS could not be agreed on", "from", raw.RemoteAddr(), "err", err)
			}
			return
		}
		handle(ctx, conn)
		conn.Close() // with the alert that says so
	}
}

// whose says in the log who is on a connection before a log-in does.
func whose(caller string, conn net.Conn) slog.Attr {
	if caller != "" {
		return slog.String("caller", caller)
	}
	return slog.String("from", conn.RemoteAddr().String())
}
