package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"postern/internal/status"
)

// words are the functions that turn the model into a person's words.
var words = template.FuncMap{
	"clock":     clock,
	"ago":       ago,
	"octets":    octets,
	"protected": protected,
	"lasted":    lasted,
	"lamp":      lamp,
	"reach":     reach,
	"count":     count,
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Format("2006-01-02 15:04:05")
}

func ago(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return span(now.Sub(t)) + " ago"
}

func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func lasted(c status.Call) string { return span(c.Ended.Sub(c.Started)) }

func octets(n any) string {
	var v int64
	switch x := n.(type) {
	case int64:
		v = x
	case int:
		v = int64(x)
	}
	switch {
	case v < 10_000:
		return fmt.Sprintf("%d B", v)
	case v < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(v)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(v)/1e6)
}

// protected says honestly what the phone line protects: the log-in and the
// data are two assets, and each is safe or is not.
func protected(c status.Call) string {
	var login, data string
	switch {
	case c.Method == "":
		if !c.Ended.IsZero() {
			return "nobody logged in"
		}
		return "not logged in yet"
	case strings.HasPrefix(c.Method, "PAP"):
		login = "password sent in clear text (PAP)"
	default:
		login = "password never sent (" + c.Method + ")"
	}
	if c.Cipher == "" {
		data = "data not encrypted"
	} else {
		data = "data encrypted (" + c.Cipher + ")"
	}
	if c.Compression != "" {
		data += ", compressed (" + c.Compression + ")"
	}
	return login + ", " + data
}

// lamp is the colour class of a line's state.
func lamp(s status.LineState) string {
	switch s {
	case status.LineReady:
		return "ready"
	case status.LineFault, status.LineAbsent:
		return "fault"
	}
	return "busy"
}

// reach says how one direction of the way to a provider is doing.
func reach(now time.Time, l status.Leg) string {
	switch {
	case l.Last.IsZero():
		return "not tried yet"
	case l.Fault != "":
		return l.Fault + " (since " + clock(l.Since) + ")"
	}
	text := "works, last " + ago(now, l.Last)
	if l.TLS != "" {
		text += ", " + l.TLS
	}
	return text
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
