package hw

import (
	"fmt"
	"io"

	"github.com/tarm/serial"
)

// openBytes opens and sets up what carries the bytes of a Serial. It is all
// that the package knows of tarm/serial. Its Read returns io.EOF after
// readTimeout.
func openBytes(path string, baud int) (io.ReadCloser, error) {
	p, err := serial.OpenPort(&serial.Config{Name: path, Baud: baud, ReadTimeout: readTimeout})
	if err != nil {
		return nil, fmt.Errorf("%s at %d bit/s: %w", path, baud, err)
	}
	return p, nil
}
