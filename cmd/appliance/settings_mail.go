package main

import (
	"log/slog"
	"time"

	"postern/internal/config"
	"postern/mailrelay"
	"postern/mailrelay/spool"
)

// orNever is a setting for a room in which 0 is its default: there never is
// negative.
func orNever(d config.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

func spoolOptions(cfg *config.Config, changed func(user string), log *slog.Logger) spool.Options {
	return spool.Options{
		Changed:      changed,
		ResendWindow: orNever(cfg.Mail.ResendWindow),
		Quota: func(user string) spool.Quota {
			q := cfg.QuotaFor(user)
			return spool.Quota{Octets: int64(q.Octets), Messages: q.Messages}
		},
		Log: log,
	}
}

func upstreamConfig(cfg *config.Config, accounts []mailrelay.UpstreamAccount) mailrelay.UpstreamConfig {
	return mailrelay.UpstreamConfig{
		Hostname:    cfg.Hostname,
		Accounts:    accounts,
		MaxSize:     int64(cfg.Mail.MaxMessage),
		DoubtDelay:  time.Duration(cfg.Mail.DoubtDelay),
		DelayAfter:  orNever(cfg.Mail.DelayNotice),
		StatusAfter: orNever(cfg.Mail.StatusAfter),
	}
}
