package dialup

import (
	"slices"
	"sync"
	"time"

	"postern/ppp"
)

const (
	// A number is a caller. Without one, a line is whoever dials it next: long
	// enough for a caller to dial again, and no longer.
	rememberNumber = 30 * 24 * time.Hour
	rememberLine   = time.Hour
	// maxMethods bounds the memory; the oldest is forgotten.
	maxMethods = 512
)

// Methods remembers by which authentication method to ask which caller. PPP
// needs no such memory, as a caller names the method it wants in a Nak; but
// clients that know PAP only may let the call time out instead (KB Q172216 and
// Q238734). A call that ended so makes the next one from there begin with the
// next method of ppp.Config.Auth, until one works, and that is kept.
//
// Any method of ppp.Config.Auth may come first, none other ever, and only those
// that make keys where encryption is required: by the box, or by a user who has
// called from there. The zero value is ready to use, by all lines at once; a
// nil one remembers nothing.
type Methods struct {
	mu    sync.Mutex
	known map[Origin]*memory
}

// memory is what is known of one place that calls come from.
type memory struct {
	first ppp.AuthMethod // zero: the first of the configuration
	keys  bool           // somebody there must be encrypted
	at    time.Time
}

func (o Origin) place() Origin {
	if o.Number != "" {
		o.Line = "" // whichever line is free
	}
	return o
}

// order returns what to ask a caller for, the first of cfg.Auth being what was
// learned.
func (m *Methods) order(now time.Time, from Origin, cfg ppp.Config) []ppp.AuthMethod {
	if m == nil {
		return cfg.Auth
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.recall(now, from.place())
	if known == nil || !slices.Contains(candidates(cfg, known.keys), known.first) {
		return cfg.Auth
	}
	list := []ppp.AuthMethod{known.first}
	for _, a := range cfg.Auth {
		if a != known.first {
			list = append(list, a)
		}
	}
	return list
}

// learn draws the lesson of a call. It returns what the next one from there
// will be asked for first, if that is another than in this one.
func (m *Methods) learn(now time.Time, from Origin, cfg ppp.Config, l login) (first ppp.AuthMethod, changed bool) {
	if m == nil || len(cfg.Auth) == 0 {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := from.place()
	known := m.recall(now, at)
	if known == nil {
		if !l.keys && !l.silent {
			return 0, false
		}
		known = &memory{}
		m.makeRoom()
		m.put(at, known)
	}
	known.at = now
	known.keys = known.keys || l.keys
	allowed := candidates(cfg, known.keys)
	switch {
	case l.silent && len(allowed) > 0:
		known.first = allowed[(slices.Index(allowed, l.asked)+1)%len(allowed)]
	case l.by != 0 && l.by != l.asked, !slices.Contains(allowed, known.first):
		known.first = 0 // it can say what it wants
	}
	if known.first == cfg.Auth[0] {
		known.first = 0
	}
	if known.first == 0 && !known.keys {
		delete(m.known, at)
	}
	if first = known.first; first == 0 {
		first = cfg.Auth[0]
	}
	return first, first != l.asked
}

// candidates are the methods that a call may begin with.
func candidates(cfg ppp.Config, keys bool) []ppp.AuthMethod {
	if !keys && cfg.Encryption != ppp.EncryptionRequire {
		return cfg.Auth
	}
	return slices.DeleteFunc(slices.Clone(cfg.Auth), func(a ppp.AuthMethod) bool {
		return a != ppp.MSCHAP && a != ppp.MSCHAPv2
	})
}

// recall returns what is known and not too old.
func (m *Methods) recall(now time.Time, at Origin) *memory {
	known := m.known[at]
	if known == nil {
		return nil
	}
	age := rememberLine
	if at.Number != "" {
		age = rememberNumber
	}
	if now.Sub(known.at) >= age {
		delete(m.known, at)
		return nil
	}
	return known
}

func (m *Methods) put(at Origin, known *memory) {
	if m.known == nil {
		m.known = make(map[Origin]*memory)
	}
	m.known[at] = known
}

func (m *Methods) makeRoom() {
	if len(m.known) < maxMethods {
		return
	}
	var oldest Origin
	var since time.Time
	for at, known := range m.known {
		if since.IsZero() || known.at.Before(since) {
			oldest, since = at, known.at
		}
	}
	delete(m.known, oldest)
}
