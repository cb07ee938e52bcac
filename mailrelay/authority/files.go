package authority

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY" // PKCS #8
	maxFile          = 64 << 10      // octets
)

// load reads a certificate and its key. The error is fs.ErrNotExist if there is
// no such file, and never shows what is in it.
func load(path string) (pair, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return pair{}, err
	}
	p, err := parse(text)
	if err != nil {
		return pair{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return p, nil
}

func parse(text []byte) (p pair, err error) {
	if len(text) > maxFile {
		return pair{}, errors.New("it is too large")
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case certificateBlock:
			if p.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
				return pair{}, err
			}
		case keyBlock:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return pair{}, errors.New("its key cannot be read")
			}
			p.key, _ = key.(crypto.Signer)
		}
	}
	if p.cert == nil || p.key == nil {
		return pair{}, errors.New("it does not hold a certificate and a key")
	}
	public, ok := p.key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(p.cert.PublicKey) {
		return pair{}, errors.New("its key is not that of its certificate")
	}
	return p, nil
}

func (p pair) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: p.cert.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: key})...), nil
}

// save replaces the file as a whole: after a power cut it is the old or the new.
func save(path string, p pair) error {
	text, err := p.encode()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "*.new") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
