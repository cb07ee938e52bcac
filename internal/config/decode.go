package config

import (
	"bytes"
	"encoding"
	"errors"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Decode reads TOML into a struct. The error is Faults: every key that the
// struct does not have and every value that does not fit, each with its line
// and key. A value is named only where its type does so: a Secret never is.
// What fits is in the struct all the same.
func Decode(text []byte, into any) error {
	_, err := decode(text, into)
	return err
}

// decode also returns the names of the keys whose values did not fit.
func decode(text []byte, into any) (refused []string, err error) {
	// Notepad begins a file in UTF-8 with a byte order mark.
	text = bytes.Clone(bytes.TrimPrefix(text, []byte("\ufeff")))
	r := reader{good: bytes.Clone(text)}
	r.p.Reset(text)
	r.document(reflect.TypeOf(into).Elem())
	if r.misshapen {
		return r.refused, errMisshapen{r.faults}
	}
	err = toml.Unmarshal(r.good, into)
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		// The key, not the text of the line: that may be a password.
		where := strings.Join(wrong.Key(), ".")
		if where != "" {
			where += ": "
		}
		r.faults.add("line %d: %s%s", line, where, strings.TrimPrefix(wrong.Error(), "toml: "))
	} else if err != nil {
		r.faults.add("%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	if err != nil {
		return r.refused, errMisshapen{r.faults}
	}
	return r.refused, r.faults.err()
}

// errMisshapen is a file of which nothing more can be said.
type errMisshapen struct{ Faults }

func (e errMisshapen) Unwrap() error { return e.Faults }

// reader holds a document against a struct. The decoder itself stops at the
// first value that does not fit, takes a bare number for a span of nanoseconds,
// and speaks of Go's types.
type reader struct {
	p         unstable.Parser
	good      []byte // the document with the values that do not fit blanked out
	faults    Faults
	refused   []string
	misshapen bool // a table is not where it belongs
}

func (r *reader) document(root reflect.Type) {
	table, path := root, ""
	for r.p.NextExpression() {
		e := r.p.Expression()
		if e.Kind != unstable.KeyValue {
			table, path = r.header(e, root)
		} else if table != nil && !r.keyValue(e, table, path) {
			r.blank(e.Raw)
		}
	}
}

// header finds what a table's header speaks of; nil if nothing.
func (r *reader) header(e *unstable.Node, t reflect.Type) (table reflect.Type, path string) {
	list := false
	keys := e.Key()
	var key *unstable.Node
	for keys.Next() {
		key = keys.Node()
		f, known := r.field(key, t, path, e.Kind)
		if !known {
			return nil, ""
		}
		path = join(path, string(key.Data))
		t, list = f.Type, f.Type.Kind() == reflect.Slice
		if list {
			t = t.Elem()
		}
	}
	wrong := ""
	switch {
	case t.Kind() != reflect.Struct || isText(t):
		wrong = "is a key, not a table; write " + path + " = …"
	case list && e.Kind == unstable.Table:
		wrong = "there may be several; write [[" + path + "]]"
	case !list && e.Kind == unstable.ArrayTable:
		wrong = "there is only one; write [" + path + "]"
	default:
		return t, path
	}
	r.misshapen = true
	r.add(key, path, wrong)
	return nil, ""
}

// keyValue tells whether a value fits its key; keys that are not known do no
// harm to the others.
func (r *reader) keyValue(e *unstable.Node, t reflect.Type, path string) bool {
	keys := e.Key()
	for keys.Next() {
		key := keys.Node()
		f, known := r.field(key, t, path, unstable.KeyValue)
		if !known {
			return true
		}
		path = join(path, string(key.Data))
		if !keys.IsLast() {
			if t = f.Type; t.Kind() != reflect.Struct || isText(t) {
				r.refuse(key, path, "is a key, not a table")
				return false
			}
			continue
		}
		if !r.value(e.Value(), f.Type, key, path) {
			return false
		}
		if bounds := f.Tag.Get("nonzero"); bounds != "" && isZero(e.Value(), f.Type) {
			r.refuse(key, path, "0 is out of range; write "+bounds+", or leave the key out")
			return false
		}
	}
	return true
}

// field is what go-toml takes the key for: letter case does not matter, and the
// fields of embedded structs count as the struct's own.
func (r *reader) field(key *unstable.Node, t reflect.Type, path string, kind unstable.Kind) (reflect.StructField, bool) {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		name, tagged := f.Tag.Lookup("toml")
		if !f.IsExported() || name == "-" || f.Anonymous && !tagged {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if strings.EqualFold(name, string(key.Data)) {
			return f, true
		}
		written := join(path, name)
		switch isTable := f.Type.Kind() == reflect.Struct && !isText(f.Type); {
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && !isText(f.Type.Elem()):
			written = "[[" + written + "]]"
		case isTable:
			written = "[" + written + "]"
		case kind == unstable.KeyValue:
			written = name
		}
		names = append(names, written)
	}
	text := "is not a key that Postern knows"
	plain := make([]string, len(names))
	for i, n := range names {
		n = strings.Trim(n, "[]")
		plain[i] = n[strings.LastIndexByte(n, '.')+1:]
	}
	if near := Nearest(string(key.Data), plain); near != "" {
		for i := range plain {
			if plain[i] == near {
				text += "; did you mean " + names[i] + "?"
			}
		}
	}
	r.faults.add("line %d: %s %s", r.line(key), join(path, string(key.Data)), text)
	return reflect.StructField{}, false
}

// value tells whether a value fits a type; if not, it has said so.
func (r *reader) value(v *unstable.Node, t reflect.Type, key *unstable.Node, path string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	at := key
	if v.Raw.Length > 0 {
		at = v
	}
	wanted := ""
	switch {
	case v.Kind == unstable.Array && t.Kind() == reflect.Slice:
		all := true
		for items := v.Children(); items.Next(); {
			all = r.value(items.Node(), t.Elem(), key, path) && all
		}
		return all
	case v.Kind == unstable.InlineTable && t.Kind() == reflect.Struct && !isText(t):
		all := true
		for items := v.Children(); items.Next(); {
			all = r.keyValue(items.Node(), t, path) && all
		}
		return all
	case v.Kind == unstable.Array:
		wanted = "one value is wanted, not a list"
	case v.Kind == unstable.InlineTable:
		wanted = "one value is wanted, not a table"
	case isText(t):
		wanted = textFault(v, t)
	default:
		wanted = scalarFault(v, t)
	}
	if wanted != "" {
		r.refuse(at, path, wanted)
	}
	return wanted == ""
}

// textFault is what a type that is written as a text has against a value.
func textFault(v *unstable.Node, t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		if v.Kind == unstable.Integer {
			return string(v.Data) + ` has no unit; write "` + string(v.Data) + `s"`
		}
	case reflect.TypeFor[Date]():
		if v.Kind == unstable.LocalDate {
			return "" // a day that there is not, go-toml refuses
		}
	case reflect.TypeFor[Size]():
		if v.Kind == unstable.Integer {
			if n, err := strconv.ParseInt(string(v.Data), 0, 64); err == nil && n < 0 {
				return "a number of octets is not negative"
			}
			if !hasRoom(t, string(v.Data)) {
				return string(v.Data) + " is out of range"
			}
			return ""
		}
	}
	err := reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText(v.Data)
	switch {
	case err == nil:
		return ""
	case t == reflect.TypeFor[Date]():
		return "a date is wanted: 2026-12-01"
	case t == reflect.TypeFor[netip.Addr]() && bytes.Contains(v.Data, []byte(":")):
		return strconv.Quote(string(v.Data)) + " is not an IPv6 address"
	case t == reflect.TypeFor[netip.Addr]():
		return strconv.Quote(string(v.Data)) + " is not an IPv4 address"
	}
	return err.Error()
}

// scalarFault is what one of Go's own types has against a value.
func scalarFault(v *unstable.Node, t reflect.Type) string {
	fits, wanted := false, ""
	switch t.Kind() {
	case reflect.String:
		fits, wanted = v.Kind == unstable.String, "a text is wanted, in quotes"
	case reflect.Bool:
		fits, wanted = v.Kind == unstable.Bool, "true or false is wanted, without quotes"
	case reflect.Float64:
		fits, wanted = v.Kind == unstable.Float || v.Kind == unstable.Integer, "a number is wanted, without quotes"
	case reflect.Slice:
		wanted = `a list is wanted: ["a", "b"]`
		if t.Elem().Kind() == reflect.Struct && !isText(t.Elem()) {
			wanted = "it is a table, not a key; write its name as [[…]] on a line of its own"
		}
	case reflect.Struct:
		wanted = "it is a table, not a key; write its name as […] on a line of its own"
	default:
		fits, wanted = v.Kind == unstable.Integer, "a whole number is wanted, without quotes"
		if v.Kind == unstable.String {
			wanted = "a number is wanted, without quotes"
		}
		if fits && !hasRoom(t, string(v.Data)) {
			return string(v.Data) + " is out of range"
		}
	}
	if fits {
		return ""
	}
	return wanted
}

// hasRoom tells whether an integer type has room for a number.
func hasRoom(t reflect.Type, digits string) bool {
	n, err := strconv.ParseInt(digits, 0, 64)
	if !reflect.Zero(t).CanUint() {
		return err == nil && !t.OverflowInt(n)
	}
	// TOML's integers have a sign; there are no larger ones.
	return err == nil && n >= 0 && !t.OverflowUint(uint64(n))
}

// isZero tells whether a number or a time span that fits is 0.
func isZero(v *unstable.Node, t reflect.Type) bool {
	if t == reflect.TypeFor[Duration]() {
		var d Duration
		return d.UnmarshalText(v.Data) == nil && d == 0
	}
	n, err := strconv.ParseInt(string(v.Data), 0, 64)
	return err == nil && n == 0
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (r *reader) refuse(at *unstable.Node, path, text string) {
	r.add(at, path, text)
	r.refused = append(r.refused, path[strings.LastIndexByte(path, '.')+1:])
}

func (r *reader) add(at *unstable.Node, path, text string) {
	r.faults.add("line %d: %s: %s", r.line(at), path, text)
}

func (r *reader) line(at *unstable.Node) int { return r.p.Shape(at.Raw).Start.Line }

// blank takes a part out of the document without moving the lines.
func (r *reader) blank(part unstable.Range) {
	gone := r.good[part.Offset : part.Offset+part.Length]
	for i, c := range gone {
		if c != '\n' && c != '\r' {
			gone[i] = ' '
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
