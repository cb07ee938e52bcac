package capture_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/dialup/capture"
)

// saveCalls records and saves n calls, one by one.
func saveCalls(t *testing.T, rec *capture.Recorder, dir string, n, keep int) {
	t.Helper()
	for id := range uint64(n) {
		tap := rec.Start(id+1, "line1", epoch)
		tap.Received(epoch, echo(int(id)))
		tap.Close("done")
		if err := rec.Save(dir, keep); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := capture.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

func TestSavedCallsAreListedAndReadAgain(t *testing.T) {
	dir := t.TempDir()
	rec := capture.NewRecorder(capture.Config{})
	saveCalls(t, rec, dir, 2, 10)
	files, err := capture.List(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	if f := files[0]; f.Name != "capture-000002.pcapng" || !strings.Contains(f.Comment, "call 2 on line1") || f.Size == 0 {
		t.Errorf("the newest is %+v", f)
	}
	f, err := capture.Open(dir, files[1].Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if p := parsePackets(t, b); len(p) != 1 || echoNumber(p[0]) != 0 {
		t.Errorf("packets %v", p)
	}
}

func TestSaveIsBoundedAndNumbersOn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "capture-notes.pcapng"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	saveCalls(t, capture.NewRecorder(capture.Config{}), dir, 5, 3)
	// After a restart call numbers begin again at 1; files do not.
	saveCalls(t, capture.NewRecorder(capture.Config{}), dir, 1, 3)
	if got := strings.Join(names(t, dir), " "); got != "capture-000006.pcapng capture-000005.pcapng capture-000004.pcapng" {
		t.Errorf("kept %s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "capture-notes.pcapng")); err != nil {
		t.Errorf("somebody's own file: %v", err)
	}
}

func TestSaveWritesEndedCallsOnce(t *testing.T) {
	dir := t.TempDir()
	rec := capture.NewRecorder(capture.Config{})
	running := rec.Start(1, "line1", epoch)
	rec.Start(2, "line2", epoch).Close("done")
	for range 2 {
		if err := rec.Save(dir, 10); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(names(t, dir)); n != 1 {
		t.Errorf("%d files of one ended call", n)
	}
	running.Close("done")
	if err := rec.Save(dir, 10); err != nil {
		t.Fatal(err)
	}
	if n := len(names(t, dir)); n != 2 {
		t.Errorf("%d files of two ended calls", n)
	}
}

func TestSaveThatFailsLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "card")
	rec := capture.NewRecorder(capture.Config{})
	rec.Start(1, "line1", epoch).Close("done")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	if err := rec.Save(dir, 10); err == nil {
		t.Error("saved to a folder that cannot be made")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := rec.Save(dir, 10); err != nil {
		t.Fatal(err)
	}
	if n := len(names(t, dir)); n != 1 {
		t.Errorf("%d files", n)
	}
}

func TestWhatAPowerCutLeftIsSweptUp(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, ".capture-123.tmp")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(names(t, dir)); n != 0 {
		t.Errorf("%d files are listed of none whole", n)
	}
	saveCalls(t, capture.NewRecorder(capture.Config{}), dir, 1, 3)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unfinished file: %v", err)
	}
}

func TestDamagedFileIsListedAsSuch(t *testing.T) {
	dir := t.TempDir()
	saveCalls(t, capture.NewRecorder(capture.Config{}), dir, 1, 3)
	if err := os.WriteFile(filepath.Join(dir, "capture-000002.pcapng"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := capture.List(dir)
	if err != nil || len(files) != 2 || !strings.HasPrefix(files[0].Comment, "unreadable: ") {
		t.Errorf("%+v, %v", files, err)
	}
	if err := capture.Print(io.Discard, "", bytes.NewReader([]byte("rubbish"))); err == nil {
		t.Error("rubbish is printed as a call")
	}
}

func TestOpenReachesNothingButCaptures(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "captures")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"capture-000001.pcapng", "captures/secret", "captures/capture-1.pcapng"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", ".", "secret", "../capture-000001.pcapng", "capture-1.pcapng", "capture-000001.pcapng/../secret", "capture--00001.pcapng"} {
		if f, err := capture.Open(inner, name); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				f.Close()
			}
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFileCutShortIsPrintedAsFarAsItGoes(t *testing.T) {
	pcapng, lines, _ := record(t, profiles[0], capture.Config{})
	var out bytes.Buffer
	if err := capture.Print(&out, "line1", bytes.NewReader(pcapng[:len(pcapng)/2])); err == nil {
		t.Error("half a file gives no error")
	}
	if out.Len() < len(lines)/4 || !strings.HasPrefix(lines, out.String()) {
		t.Errorf("printed of half a file:\n%s", &out)
	}
}
